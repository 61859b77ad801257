"""Sources: from the settings to the texts to learn and the texts to hold out, and a report of what they are."""

from __future__ import annotations

import dataclasses
import hashlib
import html
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from flaxchar import headlines
from flaxchar.config import Config, DataConfig, InputError
from flaxchar.datasets import AG_NEWS, Unreachable, load_tfds
from flaxchar.files import STDIN, read_files

HEADLINES = "headlines"
# The embedded corpus is a data set like others: always these texts, whatever the seed of a run.
_HEADLINES_TRAIN, _HEADLINES_TEST = 60_000, 2_000
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
# AG News lost the ampersands of its character references: a space stands where one was.
_DEBRIS = re.compile(r"[& ]?#(\d{1,7});|&[a-zA-Z]{2,8};")
_FEW_TEXTS = 20


@dataclasses.dataclass(frozen=True)
class Corpus:
    """The texts of a run.

    Attributes:
      name: what they are, for people.
      train: texts to learn.
      held_out: texts to judge by, possibly none.
      empty: how many blank texts were left out.
      too_long: how many texts over the length limit were left out.
      notices: what the user should know, a sentence each.
      floor: bits per character that no model can beat, where that is known.
    """

    name: str
    train: list[str]
    held_out: list[str]
    empty: int = 0
    too_long: int = 0
    notices: tuple[str, ...] = ()
    floor: float | None = None

    def fingerprint(self) -> str:
        """A hash of all the texts in order: two corpora with the same one are the same."""
        digest = hashlib.sha256()
        for texts in (self.train, self.held_out):
            for text in texts:
                data = text.encode("utf-8", "surrogatepass")
                digest.update(len(data).to_bytes(8, "little"))
                digest.update(data)
            digest.update(b"\xff")
        return digest.hexdigest()

    def report(self) -> list[str]:
        """What the texts are, a few lines for people."""
        lengths = np.array([len(text) for text in self.train])
        low, *middle, high = (f"{q:,.0f}" for q in np.quantile(lengths, _QUANTILES))
        skipped = [f"{self.empty:,} empty"] * bool(self.empty) + [f"{self.too_long:,} too long"] * bool(self.too_long)
        return [
            f"{self.name}: {len(self.train):,} texts to learn, {len(self.held_out):,} held out, "
            f"{lengths.sum():,} characters" + (f"; left out: {', '.join(skipped)}" if skipped else ""),
            f"characters a text: {lengths.min():,} at least, {', '.join(middle)} at the quartiles, "
            f"90 % from {low} to {high}, {lengths.max():,} at most",
            *self.notices,
        ]


def load_corpus(config: Config) -> tuple[Corpus, Config]:
    """The texts a configuration names.

    Returns:
      The corpus, and the configuration with ``dataset`` filled in where it was left open.

    Raises:
      InputError: they cannot be had; the message says why and what to do.
    """
    data, seed = config.data, config.training.seed
    if data.data:
        texts = read_files(data.data, data.fields, data.encoding, running=data.window is not None)
        held_out = (
            read_files(data.val_data, data.fields, data.encoding, running=data.window is not None)
            if data.val_data
            else None
        )
        name = ", ".join("standard input" if path == STDIN else Path(path).name for path in data.data)
        return make_corpus(texts, held_out, data, seed, name), config
    notices: tuple[str, ...] = ()
    name = data.dataset or AG_NEWS
    if name != HEADLINES:
        try:
            texts, held_out = load_tfds(name, data.fields, data.data_dir)
            return make_corpus(texts, held_out, data, seed, name), config.replace(dataset=name)
        except Unreachable:
            if data.dataset:
                raise
            notices = (
                "AG News is neither prepared here nor within reach: this run learns flaxchar's own headlines instead "
                "(--dataset ag_news_subset tells how to get it, --data trains on your files).",
            )
    if data.fields and data.dataset == HEADLINES:
        raise InputError("--dataset headlines has no fields; leave out --fields")
    config = config.replace(dataset=HEADLINES, fields=())
    corpus = make_corpus(
        headlines.generate_headlines(_HEADLINES_TRAIN, seed=1),
        headlines.generate_headlines(_HEADLINES_TEST, seed=2),
        config.data,
        seed,
        HEADLINES,
    )
    # The floor counts the first character, which is learned only where <eos> is fed before it, and whole headlines.
    comparable = data.bos and not corpus.too_long and data.window is None
    floor = headlines.bits_per_character() if comparable else None
    return dataclasses.replace(corpus, notices=notices + corpus.notices, floor=floor), config


def make_corpus(
    texts: Iterable[str], held_out: Iterable[str] | None, data: DataConfig, seed: int, name: str = "texts"
) -> Corpus:
    """Texts as a corpus: decoded, blank and overlong ones left out, some held out where none are given.

    Args:
      texts: any texts.
      held_out: texts to hold out; None to hold out ``data.val_fraction`` of ``texts``.
      data: the settings.
      seed: for the choice of what is held out.
      name: what they are, for people.

    Raises:
      InputError: nothing is left to learn from.
    """
    if data.window is not None:
        keep: Callable[[str], bool] = bool
        limit = None
    else:
        keep, limit = (lambda text: not text.isspace() and text != ""), data.max_length
    given = list(texts)
    for text in given:
        if not isinstance(text, str):
            raise InputError(f"each text must be a str; one is {type(text).__name__}")
    debris = sum(1 for text in given if _DEBRIS.search(text))
    notices = []
    if data.unescape_html:
        given = [unescape_html(text) for text in given]
    elif debris > 0.01 * len(given):
        notices.append(
            f"{debris:,} texts ({debris / len(given):.0%}) hold HTML debris such as #39; or &lt;; "
            "--unescape-html decodes it."
        )
    full = [text for text in given if keep(text)]
    train = full if limit is None else [text for text in full if len(text) <= limit]
    empty, too_long = len(given) - len(full), len(full) - len(train)
    if not train:
        why = (
            f"each of the {too_long:,} texts has more than {limit:,} characters; raise --max-length, or read them as "
            "running text with --window 256"
            if too_long
            else f"{name} holds no text"
        )
        raise InputError(why)
    if held_out is None:
        train, held = split_texts(train, data.val_fraction, seed, running=data.window is not None)
    else:
        decode = unescape_html if data.unescape_html else str
        held = [text for text in map(decode, held_out) if keep(text)]
        held = [text for text in held if limit is None or len(text) <= limit]
        if known := len(set(train) & set(held)):
            notices.append(f"{known:,} of the held-out texts are also among those to learn.")
    return Corpus(name, train, held, empty, too_long, tuple(notices))


def split_texts(texts: Sequence[str], fraction: float, seed: int, running: bool = False) -> tuple[list[str], list[str]]:
    """Texts to learn and texts to hold out; equal texts are never on both sides.

    Running text of few pieces is held out from the end of each piece, at a line's end where there is one.

    Returns:
      ``(train, held_out)``, each in the order given.
    """
    if fraction == 0:
        return list(texts), []
    if running and len(texts) < _FEW_TEXTS:
        cuts = [round(len(text) * (1 - fraction)) for text in texts]
        cuts = [text.rfind("\n", len(text) // 2, cut) + 1 or cut for text, cut in zip(texts, cuts, strict=True)]
        pairs = list(zip(texts, cuts, strict=True))
        return [t[:cut] for t, cut in pairs if cut], [t[cut:] for t, cut in pairs if cut < len(t)]
    numbers: dict[str, list[int]] = {}
    for number, text in enumerate(texts):
        numbers.setdefault(text, []).append(number)
    groups = list(numbers.values())
    wanted = round(len(texts) * fraction)
    chosen: set[int] = set()
    # The last group is never held out, so that something is left to learn.
    for group in np.random.default_rng([seed, len(texts)]).permutation(len(groups))[:-1]:
        if len(chosen) >= wanted:
            break
        if len(chosen) + len(groups[group]) <= wanted:
            chosen.update(groups[group])
    train = [text for number, text in enumerate(texts) if number not in chosen]
    return train, [texts[number] for number in sorted(chosen)]


def unescape_html(text: str) -> str:
    """A text with HTML's character references decoded, those too that lost their ampersand: `` #39;`` becomes ``'``."""
    return html.unescape(re.sub(r"[& ]?#(\d{1,7});", r"&#\1;", text))
