"""``flaxchar novelty``: how much of what a model writes is copied from its training texts."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flaxchar.commands import process
from flaxchar.commands.options import DrawOptions, parse
from flaxchar.commands.output import print_json
from flaxchar.settings import MOST_SAMPLES
from flaxchar.validation import counted, setting

if TYPE_CHECKING:
    from flaxchar.analysis.novelty import Novelty
    from flaxchar.data.corpus import Corpus
    from flaxchar.language_model import LanguageModel

# Texts that are shown at either end.
_SHOWN_TEXTS = 3
# Sources that samples are written from: each new length of a source is compiled for.
_MOST_SOURCES = 10


@dataclasses.dataclass(frozen=True)
class NoveltyOptions(DrawOptions):
    """Measure how much of what a model writes is copied from its training texts.

    The training texts must still be where they were read.
    """

    num_samples: int = setting(
        200, "Number of texts to write, for each label if there are several.", least=1, most=MOST_SAMPLES
    )
    label: str | None = setting(
        None, "Label to write for, with a model trained with --label-field. Without it: every label in turn."
    )
    source: str | None = setting(
        None, "Source to write from, with a model trained with --source-field. Without it: sources of held-out texts."
    )


def novelty(arguments: Sequence[str]) -> int:
    """Run ``flaxchar novelty`` and return the exit status."""
    options = parse(NoveltyOptions, "novelty", arguments).options
    from flaxchar.data.corpus import read_again

    corpus = read_again(process.saved_config(options.workdir))  # missing texts are an error before anything is compiled
    lm = process.load_model(options.workdir)
    samples = _write_samples(lm, corpus, options)
    result = lm.novelty(samples, corpus.train.texts)
    if options.json:
        _print_json(samples, result)
    else:
        _print_report(samples, result, len(corpus.train))
    return 0


def _write_samples(lm: LanguageModel, corpus: Corpus, options: NoveltyOptions) -> list[str]:
    """Write the samples: for each label, or from some sources, or from nothing."""
    names = ("temperature", "top_k", "top_p", "min_p", "size", "seed")
    drawing = {name: getattr(options, name) for name in names}
    count = options.num_samples
    labels = lm.vocabulary.labels if options.label is None and lm.vocabulary.labels else (options.label,)
    if options.source is None and lm.vocabulary.source_end is not None:
        examples = corpus.held_out if len(corpus.held_out) else corpus.train
        sources = [example.source for example in itertools.islice(examples, min(_MOST_SOURCES, count))]
        shares = [len(range(k, count, len(sources))) for k in range(len(sources))]
    else:
        sources, shares = [options.source], [count]
    return [
        text
        for label in labels
        for source, share in zip(sources, shares, strict=True)
        for text in lm.generate(**drawing, num_samples=share, label=label, source=source)
    ]


def _print_json(samples: Sequence[str], result: Novelty) -> None:
    for text, match in zip(samples, result.matches, strict=True):
        longest = text[match.start : match.start + match.length]
        print_json({"text": text, "copy": match.is_copy, "longest_match": longest})


def _print_report(samples: Sequence[str], result: Novelty, texts: int) -> None:
    import numpy as np

    from flaxchar.commands.terminal import shorten

    low, middle, high = np.quantile([match.length for match in result.matches], (0.25, 0.5, 0.75))
    print(f"{counted(result.samples, 'sample')} compared with {counted(texts, 'training text')}")
    print(f"copies of a training text: {result.copies:,} ({result.copies / result.samples:.1%})")
    print(f"repetitions of an earlier sample: {result.duplicates:,} ({result.duplicates / result.samples:.1%})")
    print(
        f"longest passage copied from a training text: median {middle:.0f} characters (quartiles {low:.0f} and "
        f"{high:.0f}), {np.median(result.shares):.0%} of the sample"
    )
    print("share copied, sample, length of the longest copied passage; the longest passages and the shortest:")
    # By length, because a sample of a few letters is easily copied as a whole; by share where lengths are equal.
    order = np.lexsort((-result.shares, np.array([-match.length for match in result.matches])))
    for k in [*order[:_SHOWN_TEXTS], *order[-_SHOWN_TEXTS:]]:
        print(f"  {result.shares[k]:4.0%}  {shorten(samples[k])}  ({counted(result.matches[k].length, 'character')})")
