"""Server-sent events: a text while it is written, until it ends or its reader disconnects."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from flaxchar.serve.streams import Ended, Token


class EventStream(Response):
    """The response that sends a text as it is written.

    Args:
      events: lists of tokens as they are written, then the end.
      start: the data of the first event.
      close: called when the response ends, however it ends.
    """

    media_type = "text/event-stream"

    def __init__(
        self, events: asyncio.Queue[list[Token] | Ended], start: dict[str, Any], close: Callable[[], None]
    ) -> None:
        super().__init__(None, headers={"x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._events, self._start, self._close = events, start, close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await _send(send, event("start", self._start), more=True)
            more = True
            while more:
                written = asyncio.ensure_future(self._events.get())
                await asyncio.wait({written, gone}, return_when=asyncio.FIRST_COMPLETED)
                if not written.done():
                    written.cancel()
                    return
                what = written.result()
                more = not isinstance(what, Ended)
                await _send(send, _describe(what), more)
        finally:
            gone.cancel()
            self._close()


def event(name: str, data: Any) -> bytes:
    """One event: its name and its data as JSON, which has no line feed."""
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode("ascii")


def _describe(what: list[Token] | Ended) -> bytes:
    if isinstance(what, Ended):
        return event("end", {"reason": what.reason, "alternatives": _rounded(what.alternatives)})
    tokens = [
        {
            "text": token.text,
            "probability": round(token.probability, 5),
            "bits": round(-math.log2(max(token.probability, 1e-30)), 4),
            "alternatives": _rounded(token.alternatives),
        }
        for token in what
    ]
    return event("tokens", {"tokens": tokens})


def _rounded(alternatives: Sequence[tuple[str, float]]) -> list[list[Any]]:
    return [[text, round(probability, 5)] for text, probability in alternatives]


async def _send(send: Send, data: bytes, more: bool) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": more})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
