"""The ASGI application (Starlette) that serves the JSON API and the files of the page."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import warnings
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from importlib import resources
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from flaxchar.analysis.classify import Classification
from flaxchar.config import FormWarning, InputError
from flaxchar.data.examples import Example
from flaxchar.generation.given import given_examples
from flaxchar.generation.prompt import encode_prompt
from flaxchar.generation.sampling import Sampling
from flaxchar.insight.trace import Trace, trace
from flaxchar.language_model import LanguageModel
from flaxchar.serve.batcher import Batcher, BusyError
from flaxchar.serve.events import EventStream
from flaxchar.serve.openapi import describe_api
from flaxchar.serve.pool import ModelPool, ServedRun
from flaxchar.serve.requests import ClassifyBody, GenerateBody, ScoreBody, read_body
from flaxchar.serve.streams import Ended, Stream, Token
from flaxchar.storage import StorageError
from flaxchar.validation import counted, shown

_MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
# The most characters that are named among those that were left out of a text.
_MOST_NAMED = 8
# Held while warnings are caught, because all threads share one list of warning filters.
_WARNINGS = threading.Lock()

Handler = Callable[[Request], Awaitable[Response]]


def make_app(pool: ModelPool, batcher: Batcher) -> Starlette:
    """Make the application, without the checks of ``flaxchar.serve.guard``."""
    api = _Api(pool, batcher)
    description = describe_api()

    async def openapi(request: Request) -> Response:
        return answer(description)

    routes = [
        Route("/runs", _answered(api.runs), methods=["GET"]),
        Route("/runs/{name}/curves", _answered(api.curves), methods=["GET"]),
        Route("/generate", _answered(api.generate), methods=["POST"]),
        Route("/score", _answered(api.score), methods=["POST"]),
        Route("/classify", _answered(api.classify), methods=["POST"]),
        Route("/openapi.json", openapi, methods=["GET"]),
        *_page_routes(),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _refuse})


def answer(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Make a JSON response, in ASCII: UTF-8 could not encode half of a surrogate pair."""
    data = json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")
    return Response(data, status, headers, "application/json")


class _Api:
    """The endpoints."""

    def __init__(self, pool: ModelPool, batcher: Batcher) -> None:
        self._pool, self._batcher = pool, batcher

    async def runs(self, request: Request) -> Response:
        return answer({"runs": await asyncio.to_thread(lambda: [run.describe() for run in self._pool])})

    async def curves(self, request: Request) -> Response:
        run = self._find(request.path_params["name"])
        return answer({"curves": await asyncio.to_thread(run.curves)})

    async def generate(self, request: Request) -> Response:
        body = read_body(GenerateBody, await request.body())
        run = self._find(body.run)
        events: asyncio.Queue[list[Token] | Ended] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def deliver(what: list[Token] | Ended) -> None:  # in the batcher's thread
            with contextlib.suppress(RuntimeError):  # the event loop is closed: the server has ended
                loop.call_soon_threadsafe(events.put_nowait, what)

        def prepare() -> tuple[Stream, str, list[str]]:
            lm = run.model()
            prompt, notes = _noted(
                lambda: encode_prompt(lm, body.prompt, body.size, body.unknown, body.label, body.source)
            )
            sampling = Sampling(body.temperature, body.top_k, body.top_p, body.min_p)
            return Stream(lm, prompt, sampling, body.seed, deliver), prompt.text, notes

        stream, prompt, notes = await asyncio.to_thread(prepare)
        self._batcher.open(stream)
        return EventStream(events, {"prompt": prompt, "notes": notes}, stream.close)

    async def score(self, request: Request) -> Response:
        body = read_body(ScoreBody, await request.body())
        run = self._find(body.run)

        def prepare() -> tuple[LanguageModel, Example, list[str]]:
            lm = run.model()
            _check_units(lm, body)
            examples, notes = _noted(lambda: given_examples(lm, [Example(body.text, body.label, body.source)]))
            if body.unknown == "drop":
                example, left_out = _without_unknown(lm, examples[0])
                return lm, example, notes + left_out
            return lm, examples[0], notes

        lm, example, notes = await asyncio.to_thread(prepare)
        # A trace has the state before each token. Separate texts end with <eos>, so it has the state after the last
        # character. Running text has no <eos>: trace one more character, which `_scored` leaves out.
        more = example.text[-1:] if lm.config.data.running and lm.vocabulary.unit == "char" else ""
        text = example.text + more
        job = self._batcher.submit(
            lambda: trace(lm, text, label=example.label, source=example.source, gates=False, unknown=body.unknown)
        )
        return answer({"text": example.text, **_scored(await _result(request, job), body, bool(more)), "notes": notes})

    async def classify(self, request: Request) -> Response:
        body = read_body(ClassifyBody, await request.body())
        run = self._find(body.run)

        def prepare() -> tuple[LanguageModel, str, list[str]]:
            lm = run.model()
            examples, notes = _noted(lambda: given_examples(lm, [Example(body.text)], replace=True))
            return lm, examples[0].text, notes

        lm, text, notes = await asyncio.to_thread(prepare)
        job = self._batcher.submit(lambda: lm.classify([text]))
        result: Classification = await _result(request, job)
        pairs = zip(result.names, result.probabilities[0].tolist(), strict=True)
        return answer({"probabilities": sorted(pairs, key=lambda pair: -pair[1]), "notes": notes})

    def _find(self, name: str | None) -> ServedRun:
        run = self._pool.get(name)
        if run is None:
            raise HTTPException(
                404, f"there is no run of that name; the runs are {', '.join(r.name for r in self._pool)}"
            )
        return run


def _noted(function: Callable[[], Any]) -> tuple[Any, list[str]]:
    """The result of a function, and its ``FormWarning``s as sentences."""
    with _WARNINGS, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FormWarning)
        result = function()
    return result, [f"{warning.message}." for warning in caught if issubclass(warning.category, FormWarning)]


async def _result(request: Request, job: Future) -> Any:
    """The result of a job. The job is cancelled if the client disconnects before it has begun."""
    future = asyncio.wrap_future(job)

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    watcher = asyncio.ensure_future(gone())
    try:
        await asyncio.wait({future, watcher}, return_when=asyncio.FIRST_COMPLETED)
        if not future.done():
            future.cancel()
        return await future
    except asyncio.CancelledError:
        raise BusyError("the request was given up") from None
    finally:
        watcher.cancel()


def _without_unknown(lm: LanguageModel, example: Example) -> tuple[Example, list[str]]:
    """An example without the tokens that the model cannot read, and a sentence that names them."""
    missing: Counter[str] = Counter()

    def known(text: str) -> str:
        missing.update(found := lm.vocabulary.encode_texts([text])[1])
        return "".join(token for token in lm.vocabulary.tokenize(text) if token not in found)

    example = Example(known(example.text), example.label, None if example.source is None else known(example.source))
    if not missing:
        return example, []
    listed = ", ".join([*map(shown, list(missing)[:_MOST_NAMED]), *["…"] * (len(missing) > _MOST_NAMED)])
    noun = "character" if lm.vocabulary.unit == "char" else "word"
    return example, [f"Left out {counted(missing.total(), noun)} that the model has never seen: {listed}."]


def _check_units(lm: LanguageModel, body: ScoreBody) -> None:
    network = lm.config.model
    for layer, unit in (*body.units, *([] if body.layer is None else [(body.layer, 0)])):
        if layer >= network.layers or unit >= network.hidden:
            raise InputError(
                f"there is no unit {unit} in layer {layer}; the layers are 0 to {network.layers - 1}, and the units of "
                f"each 0 to {network.hidden - 1}"
            )


def _scored(seen: Trace, body: ScoreBody, cut: bool) -> dict[str, Any]:
    """The scores of a text as JSON types; with ``cut``, the last token is left out."""
    last = len(seen.tokens) - cut
    states = [_rounded(seen.activations[layer, :, unit]) for layer, unit in body.units]
    tokens = []
    for k, (text, bits, likeliest) in enumerate(zip(seen.tokens[:last], seen.bits, seen.alternatives, strict=False)):
        after = [state[k + 1] if k + 1 < len(state) else None for state in states]
        token = {"text": text, "bits": round(float(bits), 4), "alternatives": [[t, round(p, 5)] for t, p in likeliest]}
        tokens.append({**token, "activations": after} if body.units and text else token)
    characters = sum(len(text) or 1 for text in seen.tokens[:last])
    state = {} if body.layer is None else {"state": _rounded(seen.activations[body.layer, -1]) if seen.tokens else []}
    return {
        "given": seen.given,
        "tokens": tokens,
        "bits_per_character": float(seen.bits[:last].sum()) / characters if characters else None,
        **state,
    }


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), 4) for value in values]


def _answered(handler: Handler) -> Handler:
    """Turn a handler's ``InputError``, ``BusyError`` and ``StorageError`` into responses."""

    async def handle(request: Request) -> Response:
        try:
            return await handler(request)
        except InputError as error:
            return answer({"error": str(error)}, 400)
        except BusyError as error:
            return answer({"error": str(error)}, 503, {"retry-after": "1"})
        except StorageError as error:
            return answer({"error": str(error)}, 500)

    return handle


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    sentences = {
        "Not Found": "there is nothing at this address",
        "Method Not Allowed": "this address takes no such request",
    }
    return answer({"error": sentences.get(error.detail, error.detail)}, error.status_code, dict(error.headers or {}))


def _page_routes() -> list[Route]:
    """The routes of the page's files, which are read once."""
    folder = resources.files("flaxchar.serve") / "page"
    routes = []
    for file in folder.iterdir():
        media_type = _MEDIA_TYPES.get("." + file.name.rpartition(".")[2])
        if media_type is not None:
            content = file.read_bytes()

            async def send(request: Request, content: bytes = content, media_type: str = media_type) -> Response:
                return Response(content, media_type=media_type)

            routes.append(Route("/" if file.name == "index.html" else f"/{file.name}", send, methods=["GET"]))
    return routes
