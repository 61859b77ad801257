"""The OpenAPI description of the JSON API, made from the declared fields of the requests."""

from __future__ import annotations

from typing import Any

from flaxchar import __version__
from flaxchar.serve.requests import ClassifyBody, GenerateBody, RunBody, ScoreBody, schema

_TOKEN = {
    "type": "object",
    "properties": {
        "text": {"type": "string", "description": "The character or word; empty for the end of a text."},
        "probability": {"type": "number", "description": "The model's probability of it, at temperature 1."},
        "bits": {"type": "number", "description": "-log2 of the probability: the surprise."},
        "alternatives": {
            "type": "array",
            "description": "The likeliest tokens at this position and their probabilities, best first.",
            "items": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "number"}]},
        },
        "activations": {
            "type": "array",
            "items": {"type": "number"},
            "description": "Activations of the requested units after the token.",
        },
    },
}
_PROBLEM = {
    "type": "object",
    "properties": {"error": {"type": "string", "description": "One sentence that says what is wrong."}},
    "required": ["error"],
}
_REFUSALS = {
    "400": "The body or one of its values is invalid.",
    "401": "The token is missing or wrong (only where the server is not on loopback).",
    "403": "The request comes from a page of another origin.",
    "404": "There is no run of that name.",
    "408": "The body took too long to come.",
    "413": "The body is too large.",
    "415": "The content type is not application/json.",
    "421": "The request names another host (only where the server is on loopback).",
    "429": "Too many requests came from this address.",
    "500": "A file of a run cannot be read.",
    "503": "Too many texts are being written, or too many requests are waiting.",
}
_EVENTS = (
    "Server-sent events. `start` has `prompt`, in the form that the model knows, and `notes` about it. `tokens` has "
    "the newest `tokens`. `end` has `reason` (eos, size, closing, error) and `alternatives`, which are empty unless "
    "the reason is eos. Closing the connection stops the text."
)


def describe_api() -> dict[str, Any]:
    """The OpenAPI 3.1 description, as JSON types."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "flaxchar serve",
            "version": __version__,
            "description": "Write, score and classify texts with the runs that are served.",
        },
        "paths": {
            "/runs": {"get": _get("The runs, in their order.", "runs")},
            "/runs/{name}/curves": {
                "get": _get("The losses of a run so far.", "curves")
                | {"parameters": [{"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}]}
            },
            "/generate": {"post": _post(GenerateBody, _EVENTS, {"text/event-stream": {"schema": {"type": "string"}}})},
            "/score": {
                "post": _post(
                    ScoreBody,
                    "The bits of each token, and the bits per character of the text.",
                    _json(
                        {
                            "text": {"type": "string"},
                            "given": {"type": "string", "description": "The beginning, which is not predicted."},
                            "tokens": {"type": "array", "items": {"$ref": "#/components/schemas/Token"}},
                            "bits_per_character": {"type": ["number", "null"]},
                            "state": {
                                "type": "array",
                                "items": {"type": "number"},
                                "description": "Activations of `layer` after the last character.",
                            },
                            "notes": {"type": "array", "items": {"type": "string"}},
                        }
                    ),
                )
            },
            "/classify": {
                "post": _post(
                    ClassifyBody,
                    "The labels and their probabilities, the most probable first.",
                    _json(
                        {
                            "probabilities": {"type": "array", "items": {"type": "array"}},
                            "notes": {"type": "array", "items": {"type": "string"}},
                        }
                    ),
                )
            },
        },
        "components": {"schemas": {"Token": _TOKEN, "Problem": _PROBLEM}},
    }


def _json(properties: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": {"type": "object", "properties": properties}}}


def _refusals(codes: tuple[str, ...]) -> dict[str, Any]:
    problem = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {code: {"description": _REFUSALS[code], "content": problem} for code in codes}


def _get(description: str, name: str) -> dict[str, Any]:
    answer = {"200": {"description": description, "content": _json({name: {}})}}
    return {"summary": description, "responses": answer | _refusals(("401", "403", "404", "421", "429", "500"))}


def _post(kind: type[RunBody], description: str, content: dict[str, Any]) -> dict[str, Any]:
    return {
        "summary": kind.__doc__,
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema(kind)}}},
        "responses": {"200": {"description": description, "content": content}} | _refusals(tuple(_REFUSALS)),
    }
