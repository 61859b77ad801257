"""The commands that write: ``sample``, and ``novelty``, which tells how much of what is written was read before."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from flaxchar.commands import process
from flaxchar.commands.main import Switch, load_model, parse
from flaxchar.config import InputError

if TYPE_CHECKING:
    from flaxchar.language_model import LanguageModel

GRID_TEMPERATURES = (0.3, 0.8, 1.0, 1.3, 1.8)
GRID_PROMPTS = ("Today ", "On Sunday ", "Moscow, ", "President ", "Little red riding hood ")


@dataclasses.dataclass(frozen=True)
class DrawOptions:
    """With which model texts are written, and how they are drawn."""

    workdir: str = "runs"
    """The run directory of the model."""
    temperature: float = 0.8
    """Below 1 for likelier texts, above for wilder ones; 0 for the most probable character each time."""
    top_k: int = 0
    """Draw only among this many most probable characters; 0 for all."""
    top_p: float = 1.0
    """Draw only among the most probable characters that together have this probability."""
    size: int = 300
    """The longest text, in characters (words for --unit word), the prompt included."""
    seed: int = 0
    """The same seed gives the same texts."""
    json: Switch = False
    """One JSON object a line for each text."""
    debug: Switch = False
    """Show where an error came from."""


@dataclasses.dataclass(frozen=True)
class SampleOptions(DrawOptions):
    """Write text with a trained model."""

    prompt: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """How the texts begin; give it several times for several beginnings."""
    beam: int | None = None
    """Write the most probable text that a beam search with this many candidates finds, one for each prompt."""
    num_samples: int = 5
    """How many texts for each prompt."""
    unknown: Literal["error", "drop"] = "error"
    """What to do with characters of the prompt that the model has never seen."""
    source: str | None = None
    """What to write from, for a model trained with --source-field."""
    label: str | None = None
    """The class to write for, of a model trained with --label-field."""
    novel: Switch = False
    """Leave out what is a training text to the letter; those must still be where they were."""
    stream: Switch = False
    """Show each text while it is written."""
    grid: Switch = False
    """One text for each of five temperatures and each of five prompts (or those given)."""


def sample_command(arguments: Sequence[str]) -> int:
    """``flaxchar sample``."""
    options = parse(SampleOptions, "flaxchar sample", arguments, SampleOptions())
    exclusive = {"stream": ("json", "grid", "novel"), "grid": ("novel",), "beam": ("stream", "json", "grid", "novel")}
    for one, other in ((one, other) for one, others in exclusive.items() for other in others):
        if getattr(options, one) not in (None, False) and getattr(options, other):
            raise InputError(f"--{one} and --{other} exclude each other")

    process.prepare()

    from flaxchar.generation.sampling import Sampling
    from flaxchar.language_model import load

    Sampling(options.temperature, options.top_k, options.top_p).validate()
    lm = load(options.workdir)
    known = set(training_texts(lm)) if options.novel else set()

    how: dict[str, Any] = {
        name: getattr(options, name) for name in ("top_k", "top_p", "size", "seed", "unknown", "label", "source")
    }
    prompts = options.prompt or (GRID_PROMPTS if options.grid else ("",))
    temperatures = GRID_TEMPERATURES if options.grid else (options.temperature,)
    for temperature in temperatures:
        if options.grid and not options.json:
            print(f"--- Temperature = {temperature}")
        for prompt in prompts:
            if options.beam is not None:
                asked = {name: value for name, value in how.items() if name in ("size", "unknown", "label", "source")}
                print(lm.likeliest(prompt, beams=options.beam, **asked))
                continue
            if options.stream:
                for sample in range(options.num_samples):
                    for piece in lm.stream(prompt, temperature=temperature, sample=sample, **how):
                        print(piece, end="", flush=True)
                    print()
                continue
            count = 1 if options.grid else options.num_samples
            if options.novel:
                numbered = _novel(lm, known, prompt, count, {"temperature": temperature, **how})
            else:
                numbered = list(enumerate(lm.generate(prompt, temperature=temperature, num_samples=count, **how)))
            for number, text in numbered:
                if options.json:
                    record = {"prompt": prompt, "temperature": temperature, "seed": options.seed, "sample": number}
                    print(json.dumps({**record, "text": text}, ensure_ascii=False))
                else:
                    # A text of several lines is set apart from the next.
                    print(text, end="\n\n" if "\n" in text else "\n")
    sys.stdout.flush()
    return 0


def _novel(lm: LanguageModel, known: set[str], prompt: str, count: int, how: dict[str, Any]) -> list[tuple[int, str]]:
    """The first samples that are none of the known texts, and their numbers."""
    drawn = count
    while True:
        samples = lm.generate(prompt, num_samples=drawn, **how)
        novel = [(number, text) for number, text in enumerate(samples) if text not in known]
        if len(novel) >= count or drawn >= 64 * count:
            if len(novel) < count:
                print(f"only {len(novel)} of {drawn:,} samples are no training texts", file=sys.stderr)
            return novel[:count]
        drawn *= 2


@dataclasses.dataclass(frozen=True)
class NoveltyOptions(DrawOptions):
    """How much of what a model writes stands in the texts it learned from, which must still be where they were."""

    num_samples: int = 200
    """How many texts to write and look at."""


def novelty_command(arguments: Sequence[str]) -> int:
    """``flaxchar novelty``."""
    options = parse(NoveltyOptions, "flaxchar novelty", arguments, NoveltyOptions())
    lm = load_model(options.workdir)
    lm.refuse_sources()

    import numpy as np

    from flaxchar.analysis.novelty import TextIndex, measure_novelty
    from flaxchar.commands.terminal import SHOWN, printable

    names = ("temperature", "num_samples", "top_k", "top_p", "size", "seed")
    how = {name: getattr(options, name) for name in names}
    samples = [
        text for label in lm.vocabulary.labels or (None,) for text in lm.generate(**how, label=label)
    ]  # as many of each class, where there are classes
    texts = training_texts(lm)
    result = measure_novelty(samples, TextIndex(texts))
    if options.json:
        for text, match in zip(samples, result.matches, strict=True):
            found = {"copy": match.is_copy, "longest_match": text[match.start : match.start + match.length]}
            print(json.dumps({"text": text, **found}, ensure_ascii=False))
        return 0
    low, middle, high = np.quantile([match.length for match in result.matches], (0.25, 0.5, 0.75))
    print(f"{result.samples:,} samples against {len(texts):,} training texts")
    print(f"copies of a training text: {result.copies:,} ({result.copies / result.samples:.1%})")
    print(f"repetitions of another sample: {result.duplicates:,} ({result.duplicates / result.samples:.1%})")
    print(
        f"longest part that stands in the training texts: {low:.0f}, {middle:.0f}, {high:.0f} characters at the "
        f"quartiles, {np.median(result.shares):.0%} of a sample in the middle"
    )
    print("the least new and the newest:")
    order = np.argsort(-result.shares, kind="stable")
    for k in [*order[:3], *order[-3:]]:
        match = result.matches[k]
        print(f"  {result.shares[k]:4.0%}  {printable(samples[k])[:SHOWN]}  ({match.length} characters)")
    return 0


def training_texts(lm: LanguageModel) -> list[str]:
    """The texts a model was trained on, read again.

    Raises:
      InputError: they are not where they were, or there were none to read.
    """
    from flaxchar.data.corpus import load_corpus

    if not (lm.config.data.data or lm.config.data.dataset):
        raise InputError("the model was trained in Python, on texts that only its program knows")
    if "-" in lm.config.data.data:
        raise InputError("the model was trained on standard input, which cannot be read again")
    return list(load_corpus(lm.config)[0].train.texts)
