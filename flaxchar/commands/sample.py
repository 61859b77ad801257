"""``flaxchar sample``: write texts with a trained model."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from flaxchar.commands import process
from flaxchar.commands.flags import flag
from flaxchar.commands.options import parse
from flaxchar.commands.output import print_json
from flaxchar.commands.writing import SampleOptions, asked, drawing
from flaxchar.config import InputError
from flaxchar.settings import MOST_SAMPLES, MOST_WRITTEN
from flaxchar.validation import counted

if TYPE_CHECKING:
    from flaxchar.commands.shading import SampleShader
    from flaxchar.language_model import LanguageModel

GRID_TEMPERATURES = (0.3, 0.8, 1.0, 1.3, 1.8)
GRID_PROMPTS = ("Today ", "On Sunday ", "Moscow, ", "President ", "Little red riding hood ")
# Options that draw, which a beam search does not, and options that cannot be combined.
_DRAWN = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty", "seed", "num_samples")
_EXCLUSIVE = {
    "interactive": ("stream", "json", "grid", "novel", "beam", "prompt", "num_samples", "color"),
    "stream": ("json", "grid", "novel"),
    "color": ("json", "stream"),
    "grid": ("novel", "acrostic", "temperature", "num_samples"),
    "beam": ("stream", "json", "grid", "novel", *_DRAWN),
}
# --novel gives up after this many times as many samples as were asked for.
_MOST_TRIES = 64


def sample(arguments: Sequence[str]) -> int:
    """Run ``flaxchar sample`` and return the exit status."""
    options, _, given = parse(SampleOptions, "sample", arguments)
    for one, others in _EXCLUSIVE.items():
        for other in others:
            if {one, other} <= given:
                raise InputError(f"{flag(one)} and {flag(other)} exclude each other; leave one out")
    lm = process.load_model(options.workdir)
    if options.interactive:
        from flaxchar.commands.interactive import interact

        interact(lm, options)
        return 0
    shader = _shader(lm, options) if options.color else None
    if options.beam is not None:
        _print_likeliest(lm, options, shader)
    elif options.stream:
        _print_stream(lm, options)
    elif options.grid:
        _print_grid(lm, options, shader)
    else:
        texts = _novel_texts if options.novel else _texts
        gap = False
        for prompt in options.prompt or ("",):
            for number, text in texts(lm, options, prompt):
                gap = _print_text(options, prompt, options.temperature, number, text, shader, gap)
    if shader is not None:
        shader.print_legend()
    sys.stdout.flush()
    return 0


def _shader(lm: LanguageModel, options: SampleOptions) -> SampleShader:
    from flaxchar.commands.shading import SampleShader

    return SampleShader(lm, options.size, options.label, options.source)


def _print_likeliest(lm: LanguageModel, options: SampleOptions, shader: SampleShader | None) -> None:
    assert options.beam is not None
    how = asked(options)
    for prompt in options.prompt or ("",):
        text = lm.likeliest(prompt, beams=options.beam, size=options.size, **how)
        if shader is None:
            print(text)
        else:
            shader.print_sample(text, bool(prompt))


def _print_stream(lm: LanguageModel, options: SampleOptions) -> None:
    how = drawing(options)
    for prompt in options.prompt or ("",):
        for number in range(options.num_samples):
            for piece in lm.stream(prompt, sample=number, **how):
                print(piece, end="", flush=True)
            print()


def _print_grid(lm: LanguageModel, options: SampleOptions, shader: SampleShader | None) -> None:
    how, prompts = drawing(options), options.prompt or GRID_PROMPTS
    if not options.prompt:
        how["unknown"] = "drop"  # nobody asked for these prompts
    grid = [  # written before anything is printed: a prompt may be refused
        (temperature, prompt, lm.generate(prompt, **{**how, "temperature": temperature})[0])
        for temperature in GRID_TEMPERATURES
        for prompt in prompts
    ]
    gap = False
    for number, (temperature, prompt, text) in enumerate(grid):
        if number % len(prompts) == 0 and not options.json:
            print("\n" * gap + f"--- Temperature = {temperature}")
            gap = False
        gap = _print_text(options, prompt, temperature, 0, text, shader, gap)


def _print_text(
    options: SampleOptions,
    prompt: str,
    temperature: float,
    number: int,
    text: str,
    shader: SampleShader | None,
    gap: bool,
) -> bool:
    """Print a text, after an empty line if there is a ``gap``; say whether one is to follow it if more is printed."""
    if shader is not None:
        shader.print_sample(text, bool(prompt))
    elif options.json:
        record = {"prompt": prompt, "temperature": temperature, "seed": options.seed, "sample": number, "text": text}
        print_json(record)
    else:
        print("\n" * gap + text)
        return "\n" in text  # an empty line sets off a text of several lines
    return False


def _texts(
    lm: LanguageModel, options: SampleOptions, prompt: str, count: int | None = None
) -> Iterator[tuple[int, str]]:
    """Samples and their numbers; ``count`` of them, or as many as the options say."""
    count = options.num_samples if count is None else count
    yield from enumerate(lm.generate(prompt, num_samples=count, **drawing(options)))


def _novel_texts(lm: LanguageModel, options: SampleOptions, prompt: str) -> Iterator[tuple[int, str]]:
    """The first samples that are not training texts, and their numbers."""
    from flaxchar.data.corpus import read_again

    known = set(read_again(lm.config).train.texts)
    wanted = options.num_samples
    most = max(1, min(_MOST_TRIES, MOST_SAMPLES // wanted, MOST_WRITTEN // (wanted * options.size)))
    for factor in itertools.takewhile(lambda factor: factor <= most, (2**k for k in itertools.count())):
        written = _texts(lm, options, prompt, factor * wanted)
        samples = [(number, text) for number, text in written if text not in known]
        if len(samples) >= wanted:
            break
    else:
        verb = "is" if len(samples) == 1 else "are"
        tried = counted(factor * wanted, "sample")
        print(f"only {len(samples):,} of {tried} {verb} not training texts", file=sys.stderr)
    yield from samples[:wanted]
