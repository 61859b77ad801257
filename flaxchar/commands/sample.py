"""``flaxchar sample``: write texts with a trained model."""

from __future__ import annotations

import dataclasses
import itertools
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from flaxchar.commands import process
from flaxchar.commands.flags import flag
from flaxchar.commands.options import DRAWING, DrawOptions, parse
from flaxchar.commands.output import counted, print_json
from flaxchar.config import InputError
from flaxchar.settings import MOST_BEAMS, MOST_SAMPLES, MOST_WRITTEN
from flaxchar.validation import setting

if TYPE_CHECKING:
    from flaxchar.language_model import LanguageModel

GRID_TEMPERATURES = (0.3, 0.8, 1.0, 1.3, 1.8)
GRID_PROMPTS = ("Today ", "On Sunday ", "Moscow, ", "President ", "Little red riding hood ")
# Options that cannot be combined.
_EXCLUSIVE = {
    "stream": ("json", "grid", "novel"),
    "grid": ("novel", "temperature", "num_samples"),
    "beam": ("stream", "json", "grid", "novel", "temperature", "top_k", "top_p", "min_p", "seed", "num_samples"),
}
# --novel gives up after this many times as many samples as were asked for.
_MOST_TRIES = 64


@dataclasses.dataclass(frozen=True)
class SampleOptions(DrawOptions):
    """Write texts with a trained model."""

    HEADING: ClassVar = "What to write"

    prompt: tuple[str, ...] = setting(
        (), "Beginning of the texts; repeat the flag for several beginnings.", repeated=True
    )
    num_samples: int = setting(5, "Number of texts for each prompt.", least=1, most=MOST_SAMPLES)
    label: str | None = setting(None, "Label (class) to write for, with a model trained with --label-field.")
    source: str | None = setting(None, "Source to write from, with a model trained with --source-field.")
    unknown: Literal["error", "drop"] = setting(
        "error", "Refuse characters of the prompt that the model has never seen, or drop them."
    )
    beam: int | None = setting(
        None,
        "Write the most probable text that a beam search of this width finds, one for each prompt.",
        least=1,
        most=MOST_BEAMS,
        heading=DRAWING,
    )
    novel: bool = setting(
        False,
        "Skip texts that are training texts, which must still be where they were read.",
        heading=DRAWING,
        switch=True,
    )
    stream: bool = setting(False, "Print each text while it is written.", heading="What is printed", switch=True)
    grid: bool = setting(
        False,
        "Print one text for each of five temperatures and each of five prompts, or of your own.",
        heading="What is printed",
        switch=True,
    )


def sample(arguments: Sequence[str]) -> int:
    """Run ``flaxchar sample`` and return the exit status."""
    options, _, given = parse(SampleOptions, "sample", arguments)
    for one, others in _EXCLUSIVE.items():
        for other in others:
            if {one, other} <= given:
                raise InputError(f"{flag(one)} and {flag(other)} exclude each other; leave one out")
    lm = process.load_model(options.workdir)
    if options.beam is not None:
        _print_likeliest(lm, options)
    elif options.stream:
        _print_stream(lm, options)
    elif options.grid:
        _print_grid(lm, options)
    else:
        texts = _novel_texts if options.novel else _texts
        for prompt in options.prompt or ("",):
            for number, text in texts(lm, options, prompt):
                _print_text(options, prompt, options.temperature, number, text)
    sys.stdout.flush()
    return 0


def _print_likeliest(lm: LanguageModel, options: SampleOptions) -> None:
    assert options.beam is not None
    for prompt in options.prompt or ("",):
        print(lm.likeliest(prompt, beams=options.beam, size=options.size, **_given(options)))


def _print_stream(lm: LanguageModel, options: SampleOptions) -> None:
    drawing = _drawing(options)
    for prompt in options.prompt or ("",):
        for number in range(options.num_samples):
            for piece in lm.stream(prompt, temperature=options.temperature, sample=number, **drawing):
                print(piece, end="", flush=True)
            print()


def _print_grid(lm: LanguageModel, options: SampleOptions) -> None:
    drawing, prompts = _drawing(options), options.prompt or GRID_PROMPTS
    if not options.prompt:
        drawing["unknown"] = "drop"  # nobody asked for these prompts
    grid = [  # written before anything is printed: a prompt may be refused
        (temperature, prompt, lm.generate(prompt, temperature=temperature, **drawing)[0])
        for temperature in GRID_TEMPERATURES
        for prompt in prompts
    ]
    for number, (temperature, prompt, text) in enumerate(grid):
        if number % len(prompts) == 0 and not options.json:
            print(f"--- Temperature = {temperature}")
        _print_text(options, prompt, temperature, 0, text)


def _print_text(options: SampleOptions, prompt: str, temperature: float, number: int, text: str) -> None:
    if options.json:
        record = {"prompt": prompt, "temperature": temperature, "seed": options.seed, "sample": number, "text": text}
        print_json(record)
    else:
        print(text, end="\n\n" if "\n" in text else "\n")  # an empty line after a text of several lines


def _texts(
    lm: LanguageModel, options: SampleOptions, prompt: str, count: int | None = None
) -> Iterator[tuple[int, str]]:
    """Samples and their numbers; ``count`` of them, or as many as the options say."""
    count = options.num_samples if count is None else count
    drawing = _drawing(options)
    yield from enumerate(lm.generate(prompt, temperature=options.temperature, num_samples=count, **drawing))


def _novel_texts(lm: LanguageModel, options: SampleOptions, prompt: str) -> Iterator[tuple[int, str]]:
    """The first samples that are not training texts, and their numbers."""
    from flaxchar.commands.novelty import read_corpus

    known = set(read_corpus(lm).train.texts)
    wanted = options.num_samples
    most = max(1, min(_MOST_TRIES, MOST_SAMPLES // wanted, MOST_WRITTEN // (wanted * options.size)))
    for factor in itertools.takewhile(lambda factor: factor <= most, (2**k for k in itertools.count())):
        samples = [(number, text) for number, text in _texts(lm, options, prompt, factor * wanted) if text not in known]
        if len(samples) >= wanted:
            break
    else:
        verb = "is" if len(samples) == 1 else "are"
        tried = counted(factor * wanted, "sample")
        print(f"only {len(samples):,} of {tried} {verb} not training texts", file=sys.stderr)
    yield from samples[:wanted]


def _drawing(options: SampleOptions) -> dict[str, Any]:
    """Arguments of ``LanguageModel.generate`` and ``stream``, except the temperature."""
    names = ("top_k", "top_p", "min_p", "size", "seed")
    return {name: getattr(options, name) for name in names} | _given(options)


def _given(options: SampleOptions) -> dict[str, Any]:
    """Arguments that say what the model is given to write from."""
    return {name: getattr(options, name) for name in ("unknown", "label", "source")}
