"""The corpus: from the settings to the examples to learn and those to hold out, and a report of what they are."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from flaxchar.config import Config, InputError
from flaxchar.data import headlines, readers
from flaxchar.data.clean import Cleaner
from flaxchar.data.examples import Chunk, Example, Examples, chunked
from flaxchar.data.labels import one_spelling
from flaxchar.data.readers.reading import STDIN, Findings, ReadOptions, is_read_once, listed, shown
from flaxchar.data.split import hash_texts, split_examples
from flaxchar.data.tfds import AG_NEWS, Unreachable, load_tfds
from flaxchar.settings import DEFAULT_WINDOW, DataConfig
from flaxchar.validation import counted

HEADLINES = "headlines"
# The embedded corpus is a data set like others: always these texts, whatever the seed of a run.
_HEADLINES_TRAIN, _HEADLINES_TEST = 60_000, 2_000
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
# Text files are read as running text where this share of their first lines looks like it.
_RUNNING_SHARE = 0.03
_PIPE = "; pipe the texts in, or name a file that holds them"
# How much is held out by default: this share, and no more characters than this. More would make the figure no surer,
# and its evaluation slow.
_HELD_OUT_SHARE, _HELD_OUT_CHARACTERS = 0.05, 200_000
# With fewer different texts held out, most of them copies, a notice says so.
_FEW_DIFFERENT = 20
_SHOWN_LABELS = 8


@dataclasses.dataclass(frozen=True)
class Corpus:
    """The examples of a run.

    Attributes:
      name: what they are, for people.
      train: the examples to learn.
      held_out: the examples to judge by, possibly none.
      empty: how many blank texts were left out.
      too_long: how many texts over the length limit were left out.
      notices: what the user should know, a sentence each.
      floor: the entropy of the texts in bits per character, which no model can beat; None where it is unknown.
      classify: whether the labels are to be predicted, not the texts.
      window: for running text, the characters of a window; else 0.
    """

    name: str
    train: Examples
    held_out: Examples
    empty: int = 0
    too_long: int = 0
    notices: tuple[str, ...] = ()
    floor: float | None = None
    classify: bool = False
    window: int = 0

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the labels, where the examples have some."""
        return self.train.label_names

    def fingerprint(self) -> str:
        """A hash of all the examples in order, 64 hexadecimal digits: the same for the same corpus."""
        return hashlib.sha256(self.train.digest() + self.held_out.digest()).hexdigest()

    def report(self) -> list[str]:
        """What the examples are, a few lines for people."""
        texts, held_out = self.train.texts, self.held_out.texts
        skipped = [f"{self.empty:,} empty"] * bool(self.empty) + [f"{self.too_long:,} too long"] * bool(self.too_long)
        left_out = f"; left out: {', '.join(skipped)}" if skipped else ""
        if self.window:
            pieces = "" if len(texts) == 1 else f" in {len(texts):,} pieces"
            lines = sum(block.count("\n") for block in texts.blocks())
            return [
                f"{self.name}: running text of {texts.characters:,} characters to learn{pieces}, "
                f"{held_out.characters:,} held out{left_out}",
                f"{lines:,} lines to learn, in windows of {self.window:,} characters",
                *self.notices,
            ]
        lengths = texts.lengths
        low, *middle, high = (f"{q:,.0f}" for q in np.quantile(lengths, _QUANTILES))
        return [
            f"{self.name}: {counted(len(texts), 'text')} to learn, {len(held_out):,} held out, "
            f"{texts.characters:,} characters{left_out}",
            f"characters a text: {lengths.min():,} to {lengths.max():,}; quartiles {', '.join(middle)}; "
            f"90 % from {low} to {high}",
            *self.notices,
        ]


class _NothingToLearn(InputError):
    """No text is left to learn."""


@contextlib.contextmanager
def telling(findings: Findings) -> Iterator[None]:
    """Where no text is left to learn, tell in the error what the readers found and left out."""
    try:
        yield
    except _NothingToLearn as error:
        raise InputError("; ".join([str(error), *findings.sentences()])) from None


def settle(config: Config) -> tuple[Config, str | None]:
    """Fill in what follows from the files: whether they hold running text, and that ``bos`` is off with labels.

    Returns:
      The configuration with ``window`` filled in, and a sentence for people where the files hold running text.

    Raises:
      InputError: a file cannot be read.
    """
    data = config.data
    if data.label_field is not None or data.source_field is not None:
        # A label or a source comes first; it is given to the model, not predicted from <eos>.
        config = config.replace(bos=False)
    if data.window is not None:
        return config, None
    share = readers.running_share(data.data, ReadOptions.of(data)) if data.data and not data.fields else None
    if share is None or share < _RUNNING_SHARE:
        return config.replace(window=0), None
    notice = (
        f"{share:.0%} of the lines are blank, indented or very long: this is read as running text, in windows of "
        f"{DEFAULT_WINDOW} characters (`window=0` reads each line as a text)."
    )
    return config.replace(window=DEFAULT_WINDOW), notice


def load_corpus(config: Config) -> tuple[Corpus, Config]:
    """Read the corpus that a configuration names.

    Returns:
      The corpus, and the configuration with ``dataset`` filled in where it was left open.

    Raises:
      InputError: the texts cannot be had; the message says why and what to do.
    """
    data, seed, classify = config.data, config.training.seed, config.model.head == "classifier"
    if data.data:
        findings = Findings()
        chunks, held_out = (
            readers.read_files(names, ReadOptions.of(data), findings) for names in (data.data, data.val_data)
        )
        name = listed([shown(path) if is_read_once(path) else Path(path).name for path in data.data])
        with telling(findings):
            corpus = _corpus(chunks, held_out if data.val_data else None, data, seed, name, classify)
            if data.val_data and not len(corpus.held_out):
                raise _NothingToLearn(f"the files of `val_data` hold no text to evaluate on: {listed(data.val_data)}")
        notices = (*(f"{sentence}." for sentence in findings.sentences()), *corpus.notices)
        return dataclasses.replace(corpus, notices=notices), config
    notices = ()
    name = data.dataset or AG_NEWS
    if name != HEADLINES:
        try:
            train, test = load_tfds(name, data.fields, data.data_dir, data.label_field, data.source_field)
            return _corpus(train, test, data, seed, name, classify), config.replace(dataset=name)
        except Unreachable:
            if data.dataset:
                raise
            notices = (
                "AG News is neither prepared here nor within reach: this run learns flaxchar's own headlines instead "
                '(`dataset="ag_news_subset"` tells how to get it, `data` trains on your files).',
            )
    if data.fields and data.dataset == HEADLINES:
        raise InputError('`dataset="headlines"` has no fields; leave out `fields`')
    config = config.replace(dataset=HEADLINES, fields=())
    corpus = make_corpus(
        headlines.generate_headlines(_HEADLINES_TRAIN, seed=1),
        headlines.generate_headlines(_HEADLINES_TEST, seed=2),
        config.data,
        seed,
        HEADLINES,
    )
    # The entropy counts the first character, which is learned only where <eos> is fed before it, and whole headlines.
    comparable = data.bos and not corpus.too_long and not data.running
    floor = headlines.bits_per_character() if comparable else None
    return dataclasses.replace(corpus, notices=notices + corpus.notices, floor=floor), config


def read_again(config: Config) -> Corpus:
    """Read the corpus again that a model was trained on.

    Raises:
      InputError: it is no longer where it was, or cannot be read twice.
    """
    if not (config.data.data or config.data.dataset):
        raise InputError("the model was trained from Python, on texts that only that program has")
    if "-" in config.data.data:
        raise InputError("the model was trained on standard input, which cannot be read again")
    return load_corpus(config)[0]


def make_corpus(
    examples: Iterable[str | Example],
    held_out: Iterable[str | Example] | None,
    data: DataConfig,
    seed: int,
    name: str = "texts",
    classify: bool = False,
) -> Corpus:
    """Make a corpus of examples: clean them, and hold some out where none are given to hold out.

    Args:
      examples: any strings or examples.
      held_out: examples to hold out; None to hold out ``data.val_fraction`` of ``examples``.
      data: the settings.
      seed: for the choice of what is held out.
      name: what they are, for people.
      classify: whether the label of each text is to be learned, not the text.

    Raises:
      InputError: nothing is left to learn from, or labels and sources are used where they cannot be.

    Example::

        corpus = make_corpus(["Anna", "Otto"], None, DataConfig(), seed=0)
        [example.text for example in corpus.train]  # ["Anna", "Otto"]: too few to hold some out
    """
    return _corpus(chunked(examples), None if held_out is None else chunked(held_out), data, seed, name, classify)


def _corpus(
    chunks: Iterable[Chunk],
    held_out: Iterable[Chunk] | None,
    data: DataConfig,
    seed: int,
    name: str,
    classify: bool,
) -> Corpus:
    """As ``make_corpus``, from chunks."""
    cleaner = Cleaner(data)
    train = Examples.from_chunks(cleaner.clean(chunks))
    _check_columns(train, data, classify)
    if not len(train):
        raise _NothingToLearn(
            f"each of the {cleaner.too_long:,} texts has more than {data.max_length:,} characters; raise "
            "`max_length`, or read them as running text with `window=256`"
            if cleaner.too_long
            else f"{name} holds no text{_PIPE * (name == shown(STDIN))}"
        )
    notices = []
    names, numbers = one_spelling(train.label_names)
    if train.labels is not None and len(names) < len(train.label_names):
        second = next(name for name in train.label_names if name not in names)
        notices.append(
            f"the labels {names[numbers[train.label_names.index(second)]]!r} and {second!r} differ only in spaces, in "
            "Unicode's normal form or as true does from True; they are one class."
        )
        train = dataclasses.replace(train, labels=numbers[train.labels], label_names=names)
    if not data.unescape_html and cleaner.debris > 0.01 * cleaner.given:
        notices.append(
            f"{counted(cleaner.debris, 'text')} ({cleaner.debris / cleaner.given:.0%}) "
            f"{'holds' if cleaner.debris == 1 else 'hold'} remains of HTML such as #39; or &lt;; `unescape_html` "
            "decodes them."
        )
    hashes = hash_texts(list(train.texts)) if data.running else cleaner.hashes()
    if held_out is None:
        fraction = data.val_fraction
        if fraction is None:
            fraction = min(_HELD_OUT_SHARE, _HELD_OUT_CHARACTERS / train.characters)
        characters = train.characters
        train, held = split_examples(train, hashes, fraction, seed, data.running)
        if data.running and 0 < held.characters < characters * fraction / 2:
            notices.append(
                f"{held.characters:,} characters are held out instead of about {round(characters * fraction):,}, "
                "because only whole pieces are held out, and those that were chosen are short; figures on them say "
                "little. Another `seed` chooses others, and `val_data` names files to hold out."
            )
        different = len(set(held.texts))
        if 0 < different < _FEW_DIFFERENT and 2 * different <= len(held):
            notices.append(
                f"the {len(held):,} held-out texts are copies of {counted(different, 'text')}, because equal texts are "
                "held out together; figures on them say little."
            )
    else:
        other = Cleaner(data)
        held = Examples.from_chunks(other.clean(held_out), like=train)
        held_hashes = hash_texts(list(held.texts)) if data.running else other.hashes()
        if shared := int(np.isin(held_hashes, hashes, kind="sort").sum()):
            notices.append(
                f"{shared:,} of the {len(held):,} held-out texts are also among the texts to learn, because the "
                "held-out set was given; this makes the held-out loss lower than on new texts."
            )
    if train.label_names:
        listed = ", ".join(map(repr, train.label_names[:_SHOWN_LABELS]))
        more = " …" if len(train.label_names) > _SHOWN_LABELS else ""
        how = (
            "the model learns to predict the class of a text" if classify else "the model is given the class of a text"
        )
        notices.append(f"{len(train.label_names)} classes: {listed}{more}; {how}.")
    window = data.window or 0
    return Corpus(name, train, held, cleaner.blank, cleaner.too_long, tuple(notices), classify=classify, window=window)


def _check_columns(examples: Examples, data: DataConfig, classify: bool) -> None:
    """Raise ``InputError`` where the labels or sources of the texts to learn cannot be used."""
    if examples.labels is not None and examples.sources is not None:
        raise InputError("texts have either labels or sources, not both; leave out one of them")
    if data.running and not examples.plain:
        raise InputError("running text has neither labels nor sources; read separate texts with `window=0`")
    if classify and len(examples) and examples.labels is None:
        raise InputError("a classifier learns labels, and the texts have none; name a `label_field`")
