"""``flaxchar score``: bits per character of texts under a model."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence

from flaxchar.commands import process
from flaxchar.commands.options import TextOptions, parse
from flaxchar.validation import setting

_SHOWN_CHARACTERS = 8


@dataclasses.dataclass(frozen=True)
class ScoreOptions(TextOptions):
    """Print how surprising texts are to a model: bits per character of each text, and of all."""

    rank: bool = setting(False, "Print the most surprising text first.", switch=True)
    adapt: bool = setting(
        False, "Let the model learn from each few texts after it has scored them (dynamic evaluation).", switch=True
    )
    json: bool = setting(False, "Print one JSON object per text and one for all of them.", switch=True)


def score(arguments: Sequence[str]) -> int:
    """Run ``flaxchar score`` and return the exit status."""
    options = parse(ScoreOptions, "score", arguments).options
    given = options.read_texts()
    lines = [number for number, text in enumerate(given, start=1) if text]
    texts = [text for text in given if text]
    lm = process.load_model(options.workdir)

    from flaxchar.analysis.score import score as score_texts
    from flaxchar.commands.terminal import shorten

    scores = score_texts(lm, texts, options.adapt)
    bits = (scores.nats / math.log(2)).tolist()
    per_character = [value / max(1, count) for value, count in zip(bits, scores.characters.tolist(), strict=True)]
    order = sorted(range(len(texts)), key=lambda k: -per_character[k]) if options.rank else range(len(texts))
    for k in order:
        if options.json:
            record = {"bits_per_character": per_character[k], "bits": bits[k], "line": lines[k], "text": texts[k]}
            print(json.dumps(record, ensure_ascii=False))
        else:
            print(f"{per_character[k]:7.4f}  {shorten(texts[k])}")
    total = {
        "bits_per_character": scores.bits_per_character,
        "bits": sum(bits),
        "texts": len(texts),
        "characters": int(scores.characters.sum()),
        "left_out": scores.missing.total(),
    }
    if options.json:
        print(json.dumps(total))
    else:
        print(
            f"{total['bits_per_character']:7.4f}  bits/char of all {len(texts):,} texts, {total['characters']:,} "
            f"characters including ends of texts{_left_out(scores.missing)}"
        )
    return 0


def _left_out(missing: Mapping[str, int]) -> str:
    """A clause about the characters that were not scored, empty if there are none."""
    if not missing:
        return ""
    shown = ", ".join(map(repr, list(missing)[:_SHOWN_CHARACTERS]))
    return f"; left out {sum(missing.values()):,} characters that the model has never seen: {shown}"
