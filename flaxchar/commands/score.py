"""``flaxchar score``: bits per character of texts under a model."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence

from flaxchar.commands import process
from flaxchar.commands.options import TextOptions, parse
from flaxchar.commands.output import print_json
from flaxchar.config import InputError
from flaxchar.validation import counted, setting

_SHOWN_CHARACTERS = 8


@dataclasses.dataclass(frozen=True)
class ScoreOptions(TextOptions):
    """Print how surprising texts are to a model: bits per character of each text, and of all."""

    rank: bool = setting(False, "Print the most surprising text first.", switch=True)
    adapt: bool = setting(
        False, "Train the model further on the texts it has scored, a few at a time (dynamic evaluation).", switch=True
    )
    color: bool = setting(
        False,
        "Shade each character by the bits it takes, also where the output is no terminal. With NO_COLOR set, by "
        "underlines and reversed video.",
        switch=True,
    )
    json: bool = setting(
        False,
        "Print one JSON object for each text, and a last one for all texts. The key line holds the text's line number "
        "in a plain text file. Tables have row instead, and JSON and Parquet have record: numbers that count only the "
        "rows or records that were read.",
        switch=True,
    )


def score(arguments: Sequence[str]) -> int:
    """Run ``flaxchar score`` and return the exit status."""
    options = parse(ScoreOptions, "score", arguments).options
    if options.color and options.json:
        raise InputError("`color` and `json` exclude each other; leave one out")
    running = process.saved_config(options.workdir).data.running
    given, places = options.read_places(options.files, running)
    if running:  # a line keeps its line feed: the lines one after another are the text
        lines = [re.findall(r"[^\n]*\n|[^\n]+", example.text) for example in given]
        given = [example._replace(text=line) for example, text in zip(given, lines, strict=True) for line in text]
        places = [
            place._replace(number=number)
            for place, text in zip(places, lines, strict=True)
            for number in range(1, len(text) + 1)
        ]
    places = [place for example, place in zip(given, places, strict=True) if example.text]
    examples = [example for example in given if example.text]
    several = len({place.file for place in places}) > 1
    lm = process.load_model(options.workdir)

    from flaxchar.analysis.score import score_examples
    from flaxchar.commands.shading import Shader
    from flaxchar.commands.terminal import shorten
    from flaxchar.generation.given import given_examples

    read = given_examples(lm, examples)
    scores = score_examples(lm, read, options.adapt, by_token=options.color)
    shader = Shader(lm.vocabulary.unit) if options.color else None
    texts = [example.text.removesuffix("\n") if running else example.text for example in examples]
    bits = (scores.nats / math.log(2)).tolist()
    # None for a text in which nothing is predicted, such as the first character of a running text.
    per_character = [
        value / count if count else None for value, count in zip(bits, scores.characters.tolist(), strict=True)
    ]
    order = sorted(range(len(texts)), key=lambda k: -(per_character[k] or 0.0)) if options.rank else range(len(texts))
    for k in order:
        if options.json:
            file = {"file": places[k].file} if several else {}
            place = {**file, places[k].counted: places[k].number}
            print_json({"bits_per_character": per_character[k], "bits": bits[k], **place, "text": texts[k]})
        elif shader is not None:
            tokens = lm.vocabulary.tokenize(read[k].text)
            shader.print(tokens, (scores.by_token[k] / math.log(2)).tolist(), before=f"{_shown(per_character[k])}  ")
        else:
            print(f"{_shown(per_character[k])}  {shorten(texts[k])}")
    if shader is not None:
        shader.print_legend()
    characters = int(scores.characters.sum())
    total: dict[str, float | None] = {
        "bits_per_character": scores.bits_per_character if characters else None,
        "bits": sum(bits),
        "texts": len(texts),
        "characters": characters,
        "left_out": scores.missing.total(),
    }
    unknown = scores.unknown.describe("", lm.vocabulary.unit, scores.bits_per_character)
    if lm.vocabulary.has_unknown:
        total |= {"unknown": scores.unknown.unknown, "spelling_bits": scores.unknown.nats / math.log(2)}
    if options.json:
        print_json(total)
    else:
        every = "" if len(texts) == 1 else "all "
        print(
            f"{_shown(total['bits_per_character'])}  bits/char of {every}{counted(len(texts), 'text')}, "
            f"{counted(characters, 'character')}{'' if running else ' including ends of texts'}"
            f"{_left_out(scores.missing)}{'; ' * bool(unknown)}{unknown}"
        )
    return 0


def _shown(bits_per_character: float | None) -> str:
    return "no bits" if bits_per_character is None else f"{bits_per_character:7.4f}"


def _left_out(missing: Mapping[str, int]) -> str:
    """A clause about the characters that were not scored, empty if there are none."""
    if not missing:
        return ""
    shown = ", ".join(map(repr, list(missing)[:_SHOWN_CHARACTERS]))
    return f"; left out {counted(sum(missing.values()), 'character')} that the model has never seen: {shown}"
