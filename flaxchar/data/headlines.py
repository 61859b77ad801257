"""The embedded corpus: headlines from a probabilistic grammar whose exact entropy is known.

On a downloaded corpus a model can only be compared with other models. Here the probability of every headline and the
entropy, which is the bits per character of a perfect model, can be computed.

A grammar is a nested structure of literal strings, tuples (one part after the other) and ``Choice`` (one of several
parts, each with a probability). No headline has two derivations (tests/data/test_headlines.py proves this), so the
entropy of the choices is the entropy of the headlines.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import random
from bisect import bisect_right
from itertools import accumulate


@dataclasses.dataclass(frozen=True, eq=False)
class Choice:
    """One of several parts, drawn with given probabilities."""

    parts: tuple[Part, ...]
    probabilities: tuple[float, ...]

    @functools.cached_property
    def cumulative(self) -> list[float]:
        """Cumulative probabilities without the last, from which ``bisect`` draws."""
        return list(accumulate(self.probabilities))[:-1]


Part = str | tuple["Part", ...] | Choice


def one_of(*weighted: tuple[float, Part]) -> Choice:
    """A choice among ``(weight, part)`` pairs; pairs of weight 0 are left out."""
    weighted = tuple((weight, part) for weight, part in weighted if weight > 0)
    total = sum(weight for weight, _ in weighted)
    return Choice(tuple(part for _, part in weighted), tuple(weight / total for weight, _ in weighted))


def words(listed: str, common: float = 4.0) -> Choice:
    """A choice among ``"a|b|c"`` with the weights 1/(rank + ``common``) of the Zipf-Mandelbrot law."""
    return one_of(*((1 / (rank + common), word) for rank, word in enumerate(listed.split("|"), start=1)))


def perhaps(probability: float, part: Part) -> Choice:
    """A part that appears with this probability."""
    return one_of((probability, part), (1 - probability, ""))


def sample(part: Part, rng: random.Random) -> str:
    """A string drawn from a grammar."""
    drawn: list[str] = []
    ahead = [part]  # a stack, because recursion takes a fifth longer
    while ahead:
        part = ahead.pop()
        if isinstance(part, str):
            drawn.append(part)
        elif isinstance(part, tuple):
            ahead.extend(part[::-1])
        else:
            ahead.append(part.parts[bisect_right(part.cumulative, rng.random())])
    return "".join(drawn)


def log2_prob(text: str, part: Part | None = None) -> float:
    """The base-2 logarithm of a string's probability under a grammar; None for the grammar of the headlines.

    It is ``-inf`` for a string that the grammar cannot produce.
    """
    probability = _matches(HEADLINE if part is None else part, text, 0).get(len(text), 0.0)
    return math.log2(probability) if probability else -math.inf


def _matches(part: Part, text: str, start: int) -> dict[int, float]:
    """Probability of ``text[start:end]`` under a part, for each ``end`` where it is above 0."""
    if isinstance(part, str):
        return {start + len(part): 1.0} if text.startswith(part, start) else {}
    if isinstance(part, tuple):
        ends = {start: 1.0}
        for each in part:
            further: dict[int, float] = {}
            for middle, before in ends.items():
                for end, probability in _matches(each, text, middle).items():
                    further[end] = further.get(end, 0.0) + before * probability
            ends = further
        return ends
    ends = {}
    for each, weight in zip(part.parts, part.probabilities, strict=True):
        for end, probability in _matches(each, text, start).items():
            ends[end] = ends.get(end, 0.0) + weight * probability
    return ends


def entropy(part: Part) -> float:
    """The entropy of a grammar's derivations in bits, which is that of its strings if none has two derivations.

    It is the entropy of each choice times the expected number of times the choice is made (Grenander 1967; Soule 1974,
    https://doi.org/10.1016/S0019-9958(74)90799-2).
    """
    if isinstance(part, str):
        return 0.0
    if isinstance(part, tuple):
        return sum(map(entropy, part))
    return sum(p * (entropy(each) - math.log2(p)) for each, p in zip(part.parts, part.probabilities, strict=True))


def mean_length(part: Part) -> float:
    """The expected length of a grammar's strings, characters."""
    if isinstance(part, str):
        return len(part)
    if isinstance(part, tuple):
        return sum(map(mean_length, part))
    return sum(p * mean_length(each) for each, p in zip(part.parts, part.probabilities, strict=True))


def count_strings(part: Part) -> int:
    """Number of a grammar's derivations: of its strings, if none has two derivations."""
    if isinstance(part, str):
        return 1
    if isinstance(part, tuple):
        return math.prod(map(count_strings, part))
    return sum(map(count_strings, part.parts))


def bits_per_character() -> float:
    """The exact entropy of the headlines in bits per character, ``<eos>`` counted as one; no model can do better."""
    return entropy(HEADLINE) / (mean_length(HEADLINE) + 1)


def generate_headlines(count: int, seed: int) -> list[str]:
    """Headlines drawn independently."""
    rng = random.Random(seed)
    return [sample(HEADLINE, rng) for _ in range(count)]


_DAY = words("Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday", common=30)
_MONTH = words("January|March|April|June|September|October|December", common=30)
_CITY = words(
    "Moscow|Paris|London|Baghdad|Cairo|Geneva|Tokyo|Berlin|Sydney|Lima|Oslo|Madrid|Boston|Havana|Jakarta|Nairobi|"
    "Athens|Quito|Vienna|Toronto"
)
_COUNTRY = words(
    "Russia|France|Iraq|Egypt|Japan|Germany|China|India|Israel|Brazil|Canada|Greece|Kenya|Mexico|Norway|Peru|Poland|"
    "Spain|Sudan|Turkey|Vietnam|Zambia"
)
_NAME = words(
    "Baranov|Castillo|Whitaker|Okafor|Fontaine|Nakamura|Hartmann|Galloway|Lindqvist|Moreau|Petrenko|Santoro|Adeyemi|"
    "Dimitrov|Eriksen|Ibanez|Jankowski|Kovacs|Quintero|Rosario|Takahashi|Ulrich|Valenti|Yilmaz|Zielinski"
)
_COMPANY = words(
    "Altacom|Borealis Air|Cobalt Bank|Deltron|Evergreen Foods|Fairway Motors|Glacier Oil|Helix Drugs|Ironbridge Steel|"
    "Junction Rail|Kestrel Jets|Lumina Chips|Meridian Gas|Northstar Media|Orchid Hotels|Pinnacle Software|Quarry Gold|"
    "Redwood Insurance|Silverline Phones|Tidewater Shipping"
)
_TEAM = words("Tigers|Hawks|Bears|Rovers|Lions|Comets|Pirates|Wolves|Eagles|Falcons|Sharks|Knights")
_OFFICE = words("President |Prime Minister |Foreign Minister |Senator |Governor |Mayor ")
_TOPIC = words(
    "nuclear|peace|trade|oil|border|election|budget|pension|security|climate|refugee|arms|hostage|fishing|tax"
)
_DIGIT = words("0|1|2|3|4|5|6|7|8|9", common=1000)
_LEADING = words("1|2|3|4|5|6|7|8|9")  # small first digits are more frequent, as in real figures
_PERCENT = (_LEADING, _DIGIT, " percent")

_politics: Part = (
    one_of((3, (_OFFICE, _NAME)), (2, _COUNTRY)),
    one_of(
        (3, (" to visit ", _CITY, one_of((1, (" in ", _MONTH)), (1, (" for ", _TOPIC, " talks"))))),
        (3, (words(" rejects | backs | signs | delays | defends "), _TOPIC, words(" deal| plan| treaty| bill| vote"))),
        (2, (" warns ", _COUNTRY, " over ", _TOPIC, words(" dispute| crisis| threat"))),
        (1, (" to send ", _LEADING, _DIGIT, "00 troops to ", _COUNTRY)),
        (1, (" survives ", _TOPIC, " vote in ", _CITY)),
    ),
)
_market: Part = (
    words("Oil|Gold|Copper|Wheat|Coffee"),
    words(" climbs to $| falls to $| steady at $| jumps to $"),
    (_LEADING, _DIGIT, ".", _DIGIT, "0"),
)
_business: Part = one_of(
    (
        4,
        (
            _COMPANY,
            one_of(
                (3, (words(" profit| sales| shares| output"), words(" up | down "), _PERCENT)),
                (2, (words(" to cut | to add "), _LEADING, ",", _DIGIT, "00 jobs", perhaps(0.5, (" in ", _COUNTRY)))),
                (2, (" buys ", _COMPANY, " for $", _LEADING, ".", _DIGIT, " billion")),
                (1, (" names ", _NAME, words(" chief executive| chairman| finance chief"))),
                (1, (" recalls ", _LEADING, _DIGIT, ",000 ", words("phones|cars|batteries|toys|laptops"))),
            ),
        ),
    ),
    (1, _market),
)
_side: Part = (_CITY, " ", _TEAM)
_sports: Part = one_of(
    (
        2,
        (
            _side,
            words(" beat | edge | rout | lose to | draw with | stun "),
            _side,
            " ",
            _LEADING,
            "-",
            _DIGIT,
            perhaps(0.3, words(" in overtime| in opener| in final| at home")),
        ),
    ),
    (1, (_NAME, words(" wins | reaches final of | withdraws from | leads "), _CITY, words(" Open| Masters| Marathon"))),
)
_science: Part = (
    words("Scientists|Astronomers|Researchers|Engineers"),
    words(" find | study | map | test | track "),
    words("ancient |giant |rare |tiny |new "),
    words("comet|fossil|virus|glacier|robot|volcano|gene|whale|satellite|rocket"),
    words(" near | in | off | above "),
    _COUNTRY,
)
_disaster: Part = (
    words("Quake|Flood|Storm|Blast|Fire|Train crash|Landslide"),
    words(" kills | injures | strands "),
    (_LEADING, _DIGIT),
    (" in ", _COUNTRY),
)
# A second clause after " as ". No first clause can be mistaken for it, so that no headline has two derivations.
_aside: Part = (
    " as ",
    one_of(
        (2, (words("talks|protests|strikes|rains|elections"), words(" begin| end| spread"), " in ", _CITY)),
        (2, (words("stocks|prices|exports|rates"), words(" rise | fall | slide "), _PERCENT)),
        (1, ("rivals meet on ", _DAY)),
    ),
)


def _story(clause: Part, aside: float, agencies: str, signed: float) -> Part:
    """A clause, perhaps a second one, and perhaps the agency that sent it."""
    return (clause, perhaps(aside, _aside), perhaps(signed, (" (", words(agencies), ")")))


_story_of_any_kind = one_of(
    (5, _story(_politics, 0.3, "Reuters|AP|AFP", 0.5)),
    (4, _story(_business, 0.3, "Reuters|Dow Jones|AP", 0.6)),
    (4, _story(_sports, 0.0, "AP|SportsTicker|AFP", 0.5)),
    (2, _story(_science, 0.0, "SPACE.com|AP|Nature", 0.5)),
    (2, _story(_disaster, 0.2, "AFP|Reuters|AP", 0.5)),
)
HEADLINE: Part = (
    one_of(
        (12, ""),
        (1, "Today "),
        (2, ("On ", _DAY, " ")),
        (2, (_CITY, ", ")),
        (1, ("UPDATE ", words("1|2|3|4"), ": ")),
    ),
    _story_of_any_kind,
)
