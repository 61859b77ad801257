"""The bodies of requests: JSON objects whose fields are declared like settings, checked, and described for OpenAPI."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, TypeVar, get_args, get_origin

from flaxchar.config import InputError
from flaxchar.json_files import parse_json
from flaxchar.validation import describe, problems, setting, shown, types_of

# The most characters of each field. A text of this length is scored in a moment; the response has a few megabytes.
LONGEST = {"prompt": 4000, "text": 4000, "source": 4000, "label": 1000, "run": 255}
# The most tokens of a generated text, prompt included.
MOST_WRITTEN = 4000
# The most units whose activations are returned.
MOST_UNITS = 16

Body = TypeVar("Body", bound="RunBody")
_JSON_TYPES = {int: "integer", float: "number", str: "string", bool: "boolean"}


@dataclasses.dataclass(frozen=True)
class RunBody:
    """The field of every request."""

    run: str | None = setting(None, "Name of the run; without it the first one.")


@dataclasses.dataclass(frozen=True)
class GivenBody(RunBody):
    """The fields of requests to a model that may need a label or a source."""

    label: str | None = setting(None, "Label (class) of the text, for a model that was trained with labels.")
    source: str | None = setting(None, "Source of the text, for a model that was trained with sources.")
    unknown: Literal["error", "drop"] = setting(
        "error", "Refuse characters that the model has never seen, or drop them."
    )


@dataclasses.dataclass(frozen=True)
class GenerateBody(GivenBody):
    """Write a text."""

    prompt: str = setting("", "Beginning of the text.")
    temperature: float = setting(
        0.8,
        "Below 1 for likelier texts, above 1 for wilder ones; 0 for the most probable character each time.",
        least=0,
        most=1_000_000,
    )
    top_k: int = setting(0, "Draw only among this many most probable characters; 0 for all.", least=0)
    top_p: float = setting(
        1.0, "Draw only among the most probable characters that together have this probability.", above=0, most=1
    )
    min_p: float = setting(
        0.0,
        "Draw only among characters with at least this share of the most probable one's probability; 0 for all.",
        least=0,
        most=1,
    )
    size: int = setting(
        300, "Longest text, in characters (words for a model of words), prompt included.", least=1, most=MOST_WRITTEN
    )
    seed: int = setting(0, "The same seed gives the same text.", least=0, most=2**32 - 1)


@dataclasses.dataclass(frozen=True)
class ScoreBody(GivenBody):
    """Measure how surprising a text is."""

    text: str = setting("", "The text.")
    units: tuple[tuple[int, int], ...] = setting(
        (), f"Layer and unit, from 0, of at most {MOST_UNITS} units whose activations are returned."
    )
    layer: int | None = setting(
        None, "A layer, from 0: the activations of all its units after the last character are returned.", least=0
    )


@dataclasses.dataclass(frozen=True)
class ClassifyBody(RunBody):
    """Name the label of a text."""

    text: str = setting("", "The text.")


def read_body(kind: type[Body], data: bytes) -> Body:
    """Read the body of a request.

    Args:
      kind: the class of the body.
      data: JSON, in UTF-8.

    Raises:
      InputError: the body is no JSON object or has an unknown field or an invalid value; the message names it.

    Example::

        read_body(GenerateBody, b'{"prompt": "Today ", "temperature": 0.5}')
    """
    values = parse_json(data, "the body of the request")
    if not isinstance(values, dict):
        raise InputError("the body of the request must be a JSON object")
    fields = [field.name for field in dataclasses.fields(kind)]
    for name in values:
        if name not in fields:
            raise InputError(f"the request has no field {shown(name)}; its fields are {', '.join(fields)}")
    units: dict[str, Any] = {"units": _units(values.pop("units"))} if "units" in values else {}
    for problem in problems(kind(**values)):
        raise InputError(problem)
    body = kind(**values, **units)
    for name, most in LONGEST.items():
        text = getattr(body, name, None)
        if text is not None and len(text) > most:
            raise InputError(f"`{name}` has {len(text):,} characters; it must have at most {most:,}")
    return body


def _units(value: Any) -> tuple[tuple[int, int], ...]:
    """Pairs of a layer and a unit. ``_check_units`` in ``api`` checks that the model has them."""
    pairs = value if isinstance(value, list) else None
    if pairs is None or len(pairs) > MOST_UNITS or not all(_is_pair(pair) for pair in pairs):
        raise InputError(
            f"`units` is {shown(value)}; it must be a list of at most {MOST_UNITS} pairs [layer, unit] of whole numbers"
        )
    return tuple((layer, unit) for layer, unit in pairs)


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(k) is int and 0 <= k < 1 << 31 for k in value)


def schema(kind: type[RunBody]) -> dict[str, Any]:
    """The JSON schema of a body, for OpenAPI."""
    types, properties = types_of(kind), {}
    for field in dataclasses.fields(kind):
        hint, optional = types[field.name]
        properties[field.name] = {
            "description": describe(field).help,
            **_type_schema(field.name, hint, optional),
            **(
                {}
                if field.default is None
                else {"default": list(field.default) if field.default == () else field.default}
            ),
        }
        limits = describe(field)
        names = {"minimum": limits.least, "exclusiveMinimum": limits.above, "maximum": limits.most}
        properties[field.name] |= {name: limit for name, limit in names.items() if limit is not None}
    return {
        "type": "object",
        "description": kind.__doc__,
        "properties": properties,
        "additionalProperties": False,
    }


def _type_schema(name: str, hint: Any, optional: bool) -> dict[str, Any]:
    if get_origin(hint) is Literal:
        return {"enum": list(get_args(hint))}
    if get_origin(hint) is tuple:
        pair = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 2, "maxItems": 2}
        return {"type": "array", "items": pair, "maxItems": MOST_UNITS}
    plain = _JSON_TYPES[hint]
    longest = {"maxLength": LONGEST[name]} if name in LONGEST else {}
    return {"type": [plain, "null"] if optional else plain, **longest}
