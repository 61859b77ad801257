"""The options of ``flaxchar sample``, as arguments of ``LanguageModel``."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from flaxchar.commands.options import CONSTRAINTS, DRAWING, DrawOptions
from flaxchar.config import InputError
from flaxchar.settings import MOST_BEAMS, MOST_PENALTY, MOST_SAMPLES
from flaxchar.validation import setting

if TYPE_CHECKING:
    from flaxchar.language_model import LanguageModel

# Arguments of `LanguageModel.generate` and `stream` that say how to draw, and those that say what to write. `likeliest`
# takes only those that say what to write, and the blend.
_DRAWN = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty", "size", "seed")
_ASKED = ("unknown", "label", "source", "forbid", "regex", "acrostic", "stop")
# All of them.
ARGUMENTS = (*_DRAWN, *_ASKED, "blend")


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
    forbid: str | None = setting(None, "Characters that no text holds.", heading=CONSTRAINTS, metavar="CHARACTERS")
    regex: str | None = setting(
        None,
        "Regular expression (of Python's re) that each text matches as a whole, prompt included.",
        heading=CONSTRAINTS,
        metavar="PATTERN",
    )
    acrostic: str | None = setting(
        None,
        "Word that the first letters of the lines spell. A model of one-line texts writes one text for each letter.",
        heading=CONSTRAINTS,
        metavar="WORD",
    )
    stop: str | None = setting(
        None, "End a text as soon as it holds this after the prompt.", heading=CONSTRAINTS, metavar="TEXT"
    )
    repetition_penalty: float = setting(
        1.0,
        "Make characters that a text already holds less probable: multiplies their log-probabilities. In a long text "
        "that is nearly every character, so values just above 1 already have a strong effect.",
        least=1,
        most=MOST_PENALTY,
        heading=DRAWING,
    )
    blend: str | None = setting(
        None,
        "Run directory of another model with the same characters, and the share of its logits in the mixture: RUN:0.3.",
        heading=DRAWING,
        metavar="RUN:SHARE",
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
    interactive: bool = setting(
        False,
        "Ask for the beginning of each text; /help shows the commands that change the settings.",
        heading="What is printed",
        switch=True,
    )
    stream: bool = setting(False, "Print each text while it is written.", heading="What is printed", switch=True)
    grid: bool = setting(
        False,
        "Print one text for each of five temperatures and each of five prompts, or of your own.",
        heading="What is printed",
        switch=True,
    )
    color: bool = setting(
        False,
        "Shade each character by the bits it takes, also where the output is no terminal. With NO_COLOR set, by "
        "underlines and reversed video.",
        heading="What is printed",
        switch=True,
    )


def drawing(options: SampleOptions) -> dict[str, Any]:
    """Arguments of ``LanguageModel.generate`` and ``stream``."""
    return {name: getattr(options, name) for name in _DRAWN} | asked(options)


def asked(options: SampleOptions) -> dict[str, Any]:
    """Arguments of ``LanguageModel.likeliest``: what to write, not how to draw."""
    arguments = {name: getattr(options, name) for name in _ASKED}
    return arguments if options.blend is None else arguments | {"blend": _read_blend(options.blend)}


def _read_blend(value: str) -> tuple[LanguageModel, float]:
    """The other model of a blend and its share, from the value of ``--blend``: a run directory, a colon and a number.

    Raises:
      InputError: the value is something else, or there is no model in the folder.
    """
    workdir, _, share = value.rpartition(":")
    try:
        number = float(share)
    except ValueError:
        number = -1.0
    if not workdir or not 0 <= number <= 1:
        raise InputError(f"`blend` is {value!r:.80}; it must be a run directory and a share of 0 to 1: runs/other:0.3")
    return _load(workdir), number


@functools.lru_cache(maxsize=1)
def _load(workdir: str) -> LanguageModel:
    """The other model, which ``--interactive`` needs again and again."""
    from flaxchar.library import load

    return load(workdir)
