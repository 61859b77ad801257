"""Sources: from the settings to the texts to learn and the texts to hold out, and a report of what they are."""

from __future__ import annotations

import dataclasses
import hashlib
import html
import itertools
import re
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from flaxchar.config import DEFAULT_WINDOW, Config, DataConfig, InputError
from flaxchar.data import headlines
from flaxchar.data.files import STDIN, read_files, running_share
from flaxchar.data.texts import BEFORE_END, Some, Texts, grouped
from flaxchar.data.tfds import AG_NEWS, Unreachable, load_tfds
from flaxchar.data.vocabulary import MOST_LABELS, SOURCE_END, labelled

HEADLINES = "headlines"
# The embedded corpus is a data set like others: always these texts, whatever the seed of a run.
_HEADLINES_TRAIN, _HEADLINES_TEST = 60_000, 2_000
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
# AG News lost the ampersands of its character references: a space stands where one was.
_DEBRIS = re.compile(r"[& ]?#(\d{1,7});|&[a-zA-Z]{2,8};")
_FEW_TEXTS = 20
# Text files are taken for running text where this share of their first lines says so.
_RUNNING_SHARE = 0.03
# What is held out where nobody says how much: this share, and no more characters than this. More would make the figure
# no surer, and its evaluation slow.
_HELD_OUT_SHARE, _HELD_OUT_CHARACTERS = 0.05, 200_000


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
      labels: the names of the classes, where the texts have some; a text then begins with its class' token.
    """

    name: str
    train: Texts
    held_out: Texts
    empty: int = 0
    too_long: int = 0
    notices: tuple[str, ...] = ()
    floor: float | None = None
    labels: tuple[str, ...] = ()

    def fingerprint(self) -> str:
        """A hash of all the texts in order: two corpora with the same one are the same."""
        return hashlib.sha256(self.train.digest() + self.held_out.digest()).hexdigest()

    def report(self) -> list[str]:
        """What the texts are, a few lines for people."""
        lengths = self.train.lengths
        low, *middle, high = (f"{q:,.0f}" for q in np.quantile(lengths, _QUANTILES))
        skipped = [f"{self.empty:,} empty"] * bool(self.empty) + [f"{self.too_long:,} too long"] * bool(self.too_long)
        return [
            f"{self.name}: {len(self.train):,} texts to learn, {len(self.held_out):,} held out, "
            f"{lengths.sum():,} characters" + (f"; left out: {', '.join(skipped)}" if skipped else ""),
            f"characters a text: {lengths.min():,} at least, {', '.join(middle)} at the quartiles, "
            f"90 % from {low} to {high}, {lengths.max():,} at most",
            *self.notices,
        ]


def settle(config: Config) -> tuple[Config, str | None]:
    """Settle what was left open: whether text files are texts a line or running text, and what classes ask for.

    Returns:
      The configuration with ``window`` filled in, and a sentence for people where it is running text.

    Raises:
      InputError: a file cannot be read.
    """
    data = config.data
    if data.before_field is not None:
        # What a text begins with is fed first, and never predicted.
        config = config.replace(bos=False)
    if data.window is not None:
        return config, None
    share = running_share(data.data, data.encoding) if data.data and not data.fields else None
    if share is None or share < _RUNNING_SHARE:
        return config.replace(window=0), None
    notice = (
        f"{share:.0%} of the lines are blank, indented or very long: this is read as running text, in windows of "
        f"{DEFAULT_WINDOW} characters (--window 0 takes each line for a text)."
    )
    return config.replace(window=DEFAULT_WINDOW), notice


def load_corpus(config: Config) -> tuple[Corpus, Config]:
    """The texts a configuration names.

    Returns:
      The corpus, and the configuration with ``dataset`` filled in where it was left open.

    Raises:
      InputError: they cannot be had; the message says why and what to do.
    """
    data, seed, classify = config.data, config.training.seed, config.model.head == "classifier"
    if data.data:
        running = data.running
        how = (data.fields, data.encoding, running, data.before_field)
        stretches = read_files(data.data, *how)
        val_stretches = read_files(data.val_data, *how) if data.val_data else None
        name = ", ".join("standard input" if path == STDIN else Path(path).name for path in data.data)
        return _corpus(stretches, val_stretches, data, seed, name, classify), config
    notices: tuple[str, ...] = ()
    name = data.dataset or AG_NEWS
    if name != HEADLINES:
        try:
            texts, held_out = load_tfds(name, data.fields, data.data_dir, data.before_field)
            return make_corpus(texts, held_out, data, seed, name, classify), config.replace(dataset=name)
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
    comparable = data.bos and not corpus.too_long and not data.running
    floor = headlines.bits_per_character() if comparable else None
    return dataclasses.replace(corpus, notices=notices + corpus.notices, floor=floor), config


def make_corpus(
    texts: Iterable[str],
    held_out: Iterable[str] | None,
    data: DataConfig,
    seed: int,
    name: str = "texts",
    classify: bool = False,
) -> Corpus:
    """Texts as a corpus: decoded, blank and overlong ones left out, some held out where none are given.

    Args:
      texts: any texts.
      held_out: texts to hold out; None to hold out ``data.val_fraction`` of ``texts``.
      data: the settings.
      seed: for the choice of what is held out.
      name: what they are, for people.
      classify: whether the class of each text is to be learned, not the text.

    Raises:
      InputError: nothing is left to learn from.
    """
    return _corpus(grouped(texts), None if held_out is None else grouped(held_out), data, seed, name, classify)


class _Kept(NamedTuple):
    """What is kept of some texts, and how many were given, had characters, and hold HTML debris."""

    texts: Texts
    hashes: np.ndarray
    given: int
    full: int
    debris: int


def _collect(stretches: Iterable[Some], data: DataConfig) -> _Kept:
    """Texts decoded, blank and overlong ones left out."""
    running, limit = data.running, data.max_length
    kept, given, full, debris = Texts(), 0, 0, 0
    hashes = [np.empty(0, np.uint64)]
    goes_on = False  # whether the next text goes on with the last
    last_has_debris = False
    for texts, complete in stretches:
        if others := set(map(type, texts)) - {str}:
            kind = next(kind for kind in others)
            if not issubclass(kind, str):
                raise InputError(f"each text must be a str; one is {kind.__name__}")
        with_debris = sum(1 for text in texts if ";" in text and _DEBRIS.search(text))
        debris += with_debris - (goes_on and last_has_debris and with_debris > 0)
        last_has_debris = with_debris > 0
        given += len(texts) - goes_on
        some = [unescape_html(text) for text in texts] if data.unescape_html else texts
        if running:
            if complete and not goes_on:
                some = [text for text in some if text]
            full += len(some) - goes_on
        else:
            some = [text for text in some if text and not text.isspace()]
            full += len(some)
            some = [text for text in some if len(text) <= limit]
            hashes.append(_hashes(some))  # while they are strings
        kept.add(some, complete)
        goes_on = not complete
    return _Kept(kept, _hashes(list(kept)) if running else np.concatenate(hashes), given, full, debris)


def _corpus(
    stretches: Iterable[Some],
    held_out: Iterable[Some] | None,
    data: DataConfig,
    seed: int,
    name: str,
    classify: bool,
) -> Corpus:
    """As ``make_corpus``, of texts that come a stretch at a time."""
    numbers: dict[str, int] = {}
    if data.source_field is not None:
        stretches = _with_source(stretches)
        held_out = None if held_out is None else _with_source(held_out)
    if data.label_field is not None:
        stretches = _labelled(stretches, numbers, classify, learned=True)
        held_out = None if held_out is None else _labelled(held_out, numbers, classify, learned=False)
    train, hashes, given, full, debris = _collect(stretches, data)
    notices = []
    if not data.unescape_html and debris > 0.01 * given:
        notices.append(
            f"{debris:,} texts ({debris / given:.0%}) hold HTML debris such as #39; or &lt;; "
            "--unescape-html decodes it."
        )
    empty, too_long = given - full, full - len(train)
    if not train:
        why = (
            f"each of the {too_long:,} texts has more than {data.max_length:,} characters; raise --max-length, or read "
            "them as running text with --window 256"
            if too_long
            else f"{name} holds no text"
        )
        raise InputError(why)
    if held_out is None:
        fraction = data.val_fraction
        if fraction is None:
            fraction = min(_HELD_OUT_SHARE, _HELD_OUT_CHARACTERS / train.characters)
        train, held = split_texts(train, hashes, fraction, seed, running=data.running)
    else:
        held, held_hashes, *_ = _collect(held_out, data)
        if known := len(np.intersect1d(hashes, held_hashes)):
            notices.append(f"{known:,} of the held-out texts are also among those to learn.")
    if numbers:
        shown = ", ".join(map(repr, list(numbers)[:8])) + (" …" if len(numbers) > 8 else "")
        how = (
            "what is learned is the class of a text"
            if classify
            else "each text begins with its own, which is given, not learned"
        )
        notices.append(f"{len(numbers)} classes: {shown}; {how}.")
    return Corpus(name, train, held, empty, too_long, tuple(notices), labels=tuple(numbers))


def _labelled(stretches: Iterable[Some], numbers: dict[str, int], classify: bool, learned: bool) -> Iterable[Some]:
    """Texts whose class is made one token, before them or, to ``classify``, after them as its source.

    ``numbers`` gets the classes that are learned.
    """
    for some in stretches:
        texts = []
        for given in some.texts:
            label, _, text = given.partition(BEFORE_END)
            if learned:
                numbers.setdefault(label, len(numbers))
                if len(numbers) > MOST_LABELS:
                    raise InputError(f"--label-field names more than {MOST_LABELS:,} classes; is it the right field?")
            elif label not in numbers:
                raise InputError(f"the held-out texts have a class {label!r:.40}, which is not among those to learn")
            texts.append(labelled(text, numbers[label], classify) if text and not text.isspace() else "")
        yield Some(texts, some.complete)


def _with_source(stretches: Iterable[Some]) -> Iterable[Some]:
    """Texts after their sources, with one token between them."""
    for some in stretches:
        parted = [text.partition(BEFORE_END) for text in some.texts]
        yield Some([source + SOURCE_END + text if text.strip() else "" for source, _, text in parted], some.complete)


def split_texts(
    texts: Texts, hashes: np.ndarray, fraction: float, seed: int, running: bool = False
) -> tuple[Texts, Texts]:
    """Texts to learn and texts to hold out; equal texts are never on both sides.

    Running text of few pieces is held out from the end of each piece, at a line's end where there is one.

    Args:
      texts: all of them.
      hashes: a number for each, uint64 ``[texts]``, the same for equal texts.
      fraction: the share to hold out.
      seed: for the choice.
      running: whether it is running text.

    Returns:
      ``(train, held_out)``, each in the order given.
    """
    if fraction == 0:
        return texts, Texts()
    if running and len(texts) < _FEW_TEXTS:
        return texts.split(_at_line_ends(texts, np.rint(texts.lengths * (1 - fraction)).astype(np.int64)))
    return texts.split(np.where(_choose(hashes, fraction, seed), 0, texts.lengths))


def _choose(hashes: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """A share of the texts, or a little less, where equal ones stay together: which are chosen, bool ``[texts]``."""
    # Places in a random order, the same for equal texts: a permutation of the hashes (the finisher of SplitMix64).
    first, second, third = np.random.default_rng([seed, len(hashes)]).integers(0, 2**64, 3, np.uint64) | np.uint64(1)
    places = hashes ^ first
    places *= second
    places ^= places >> np.uint64(32)
    places *= third
    wanted, some = round(len(hashes) * fraction), 1000
    chosen: list[np.uint64] = []
    count = 0
    while count < wanted and some < 4 * max(1000, len(hashes)):
        some *= 4
        foremost = np.sort(np.partition(places, some)[:some] if some < len(places) else places)
        begins = np.concatenate([[0], np.flatnonzero(foremost[1:] != foremost[:-1]) + 1])
        chosen, count = [], 0
        # The last group may be cut short; and it is never held out, so that something is left to learn.
        for begin, end in itertools.pairwise(begins.tolist()):
            if count < wanted and count + end - begin <= wanted:
                chosen.append(foremost[begin])
                count += end - begin
    if not chosen:
        return np.zeros(len(hashes), bool)
    found = np.searchsorted(chosen, places)
    return np.take(chosen, found, mode="clip") == places


def _hashes(texts: list[str]) -> np.ndarray:
    """A number for each text, uint64 ``[texts]``: equal for equal texts, and almost surely for no others."""
    data = [text.encode("utf-8", "surrogatepass") for text in texts]
    crc, adler = (np.fromiter(map(f, data), np.uint64, len(data)) for f in (zlib.crc32, zlib.adler32))
    return crc << np.uint64(32) | adler


def _at_line_ends(texts: Texts, cuts: np.ndarray) -> np.ndarray:
    """Cuts moved back to the end of a line, if there is one in the second half of what is before them."""
    lengths = texts.lengths
    begins, moved = np.cumsum(lengths) - lengths, cuts.copy()
    position = 0
    for stretch in texts.stretches():
        for k, (begin, length, cut) in enumerate(zip(begins.tolist(), lengths.tolist(), cuts.tolist(), strict=True)):
            from_, to = max(begin + length // 2 - position, 0), min(begin + cut - position, len(stretch))
            end = stretch.rfind("\n", from_, to) if from_ < to else -1
            if end >= 0:
                moved[k] = position + end + 1 - begin
        position += len(stretch)
    return moved


def unescape_html(text: str) -> str:
    """A text with HTML's character references decoded, those too that lost their ampersand: `` #39;`` becomes ``'``."""
    return html.unescape(re.sub(r"[& ]?#(\d{1,7});", r"&#\1;", text))
