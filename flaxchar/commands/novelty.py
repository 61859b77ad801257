"""``flaxchar novelty``: how much of what a model writes is copied from its training texts."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flaxchar.commands import process
from flaxchar.commands.options import parse
from flaxchar.commands.sample import DrawOptions
from flaxchar.config import InputError
from flaxchar.validation import setting

if TYPE_CHECKING:
    from flaxchar.analysis.novelty import Novelty
    from flaxchar.language_model import LanguageModel

# Texts that are shown at either end.
_SHOWN_TEXTS = 3


@dataclasses.dataclass(frozen=True)
class NoveltyOptions(DrawOptions):
    """Measure how much of what a model writes is copied from its training texts.

    The training texts must still be where they were read.
    """

    num_samples: int = setting(200, "Number of texts to write, for each label if there are labels.", least=1)


def novelty(arguments: Sequence[str]) -> int:
    """Run ``flaxchar novelty`` and return the exit status."""
    options = parse(NoveltyOptions, "novelty", arguments).options
    lm = process.load_model(options.workdir)
    lm.refuse_sources()

    from flaxchar.analysis.novelty import TextIndex, measure_novelty

    names = ("temperature", "num_samples", "top_k", "top_p", "size", "seed")
    drawing = {name: getattr(options, name) for name in names}
    samples = [text for label in lm.vocabulary.labels or (None,) for text in lm.generate(**drawing, label=label)]
    texts = training_texts(lm)
    result = measure_novelty(samples, TextIndex(texts))
    if options.json:
        _print_json(samples, result)
    else:
        _print_report(samples, result, len(texts))
    return 0


def _print_json(samples: Sequence[str], result: Novelty) -> None:
    for text, match in zip(samples, result.matches, strict=True):
        longest = text[match.start : match.start + match.length]
        print(json.dumps({"text": text, "copy": match.is_copy, "longest_match": longest}, ensure_ascii=False))


def _print_report(samples: Sequence[str], result: Novelty, texts: int) -> None:
    import numpy as np

    from flaxchar.commands.terminal import SHOWN, printable

    low, middle, high = np.quantile([match.length for match in result.matches], (0.25, 0.5, 0.75))
    print(f"{result.samples:,} samples compared with {texts:,} training texts")
    print(f"copies of a training text: {result.copies:,} ({result.copies / result.samples:.1%})")
    print(f"repetitions of an earlier sample: {result.duplicates:,} ({result.duplicates / result.samples:.1%})")
    print(
        f"longest passage copied from a training text: median {middle:.0f} characters (quartiles {low:.0f} and "
        f"{high:.0f}), {np.median(result.shares):.0%} of the sample"
    )
    print("share copied, sample, longest passage; the most copied and the newest:")
    order = np.argsort(-result.shares, kind="stable")
    for k in [*order[:_SHOWN_TEXTS], *order[-_SHOWN_TEXTS:]]:
        print(f"  {result.shares[k]:4.0%}  {printable(samples[k])[:SHOWN]}  ({result.matches[k].length} characters)")


def training_texts(lm: LanguageModel) -> list[str]:
    """Read the texts again that a model was trained on.

    Raises:
      InputError: they are no longer where they were, or cannot be read twice.
    """
    from flaxchar.data.corpus import load_corpus
    from flaxchar.data.vocabulary import SOURCE_END

    if not (lm.config.data.data or lm.config.data.dataset):
        raise InputError("the model was trained from Python, on texts that only that program has")
    if "-" in lm.config.data.data:
        raise InputError("the model was trained on standard input, which cannot be read again")
    texts = load_corpus(lm.config)[0].train
    if lm.vocabulary.labels:
        return [text[1:] for text in texts]  # after the class
    return [text.rpartition(SOURCE_END)[2] for text in texts]
