"""The guard: checks each request before the application sees it, and adds the security headers to each response.

It refuses requests that a page of another origin may have sent (``Host``, ``Origin``, ``Sec-Fetch-Site``, content
type), requests without the token if there is one, too many requests from one address, and bodies that are too large or
too slow. The limits on connections are in ``flaxchar.serve.connections``.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from http.cookies import CookieError, SimpleCookie
from typing import NamedTuple
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# The most bytes of a body, and the seconds in which it must arrive.
MOST_BODY, BODY_SECONDS = 64 * 1024, 10.0
# Requests from one address: this many at once, then this many a second. The most addresses that are remembered.
BURST, PER_SECOND, MOST_ADDRESSES = 200, 20.0, 4096
COOKIE = "flaxchar_token"

_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Access(NamedTuple):
    """Who may talk to the server.

    Attributes:
      hosts: the allowed values of ``Host``, with their ports; None for any, if the token is required anyway.
      token: the token that every request must have; None on loopback.
    """

    hosts: frozenset[str] | None
    token: str | None = None


class _Refusal(Exception):
    """A refusal of a request: its status, its sentence and its headers."""

    def __init__(self, status: int, sentence: str, headers: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(sentence)
        self.status, self.headers = status, headers


class Guard:
    """ASGI middleware that passes on good requests and refuses others."""

    def __init__(self, app: ASGIApp, access: Access, body_seconds: float = BODY_SECONDS) -> None:
        """Guard an application; ``body_seconds``: how long a body may take to come."""
        self._app, self._access, self._body_seconds = app, access, body_seconds
        self._rates = _Rates()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a request and pass it on, or refuse it."""
        if scope["type"] != "http":
            return
        begun = False

        async def send_guarded(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                message["headers"] = [*message.get("headers", ()), *_encoded(_HEADERS.items())]
            await send(message)

        try:
            self._check(scope)
            if self._access.token is not None and scope["method"] == "GET" and scope["path"] == "/":
                self._let_in(scope)
            body = await self._body(scope, receive)
            await self._app(scope, _replay(body, receive), send_guarded)
        except _Refusal as refusal:
            await _answer(send_guarded, refusal.status, str(refusal), refusal.headers)
        except Exception:
            logging.getLogger(__name__).exception("a request has failed")
            if begun:
                raise  # the connection is closed
            await _answer(send_guarded, 500, "the server has failed at this request; its log says more")

    def _check(self, scope: Scope) -> None:
        """Check the headers of a request."""
        headers = scope["headers"]
        hosts, origins = _values(headers, b"host"), _values(headers, b"origin")
        allowed = self._access.hosts
        if len(hosts) != 1 or (allowed is not None and hosts[0].lower() not in allowed):
            # Otherwise a foreign page whose name resolves to this machine could read the answers (DNS rebinding).
            raise _Refusal(421, "the request is for another host; use the address that the command printed")
        if any(
            origin.lower() not in (f"http://{hosts[0].lower()}", f"https://{hosts[0].lower()}") for origin in origins
        ):
            raise _Refusal(403, "the request comes from a page of another origin")
        if _values(headers, b"sec-fetch-site") not in ([], ["same-origin"], ["none"]) and scope["path"] != "/":
            raise _Refusal(403, "the request comes from a page of another origin")
        if not self._rates.allow(scope["client"][0] if scope.get("client") else ""):
            raise _Refusal(429, "too many requests; wait a second", [("retry-after", "1")])
        self._check_token(scope)
        if scope["method"] == "POST":
            kinds = [value.partition(";")[0].strip().lower() for value in _values(headers, b"content-type")]
            if kinds != ["application/json"]:
                raise _Refusal(415, "the body must be JSON, with the content type application/json")
            lengths = _values(headers, b"content-length")
            if lengths and int(lengths[0]) > MOST_BODY:  # h11 has checked that it is a number
                raise _too_large()

    def _check_token(self, scope: Scope) -> None:
        token = self._access.token
        if token is None:
            return
        given = [value.removeprefix("Bearer ") for value in _values(scope["headers"], b"authorization")]
        for value in _values(scope["headers"], b"cookie"):
            try:
                cookies = SimpleCookie(value)
            except CookieError:
                continue
            given += [cookies[COOKIE].value] if COOKIE in cookies else []
        if scope["path"] == "/" and scope["method"] == "GET":
            given += _query_tokens(scope)
        if not any(_same(value, token) for value in given):
            raise _Refusal(401, "the token is missing or wrong; open the address that the command printed")

    def _let_in(self, scope: Scope) -> None:
        """Move the token from the address to a cookie, by a redirect."""
        token = self._access.token
        assert token is not None
        if any(_same(value, token) for value in _query_tokens(scope)):
            cookie = f"{COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/"
            raise _Refusal(303, "the token is kept", [("location", "/"), ("set-cookie", cookie)])

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """The whole body of a POST request."""
        if scope["method"] != "POST":
            return b""
        body = b""
        try:
            async with asyncio.timeout(self._body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _Refusal(400, "the client has gone")
                    body += message.get("body", b"")
                    if len(body) > MOST_BODY:
                        raise _too_large()
                    if not message.get("more_body", False):
                        return body
        except TimeoutError:
            raise _Refusal(408, "the body took too long to come", [("connection", "close")]) from None


class _Rates:
    """A token bucket for each address: the number of requests that it may send now, refilled over time."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allow(self, address: str) -> bool:
        """Take one request from the bucket of an address; False if it is empty."""
        now = time.monotonic()
        left, then = self._buckets.pop(address, (float(BURST), now))
        left = min(float(BURST), left + PER_SECOND * (now - then))
        self._buckets[address] = (left - 1 if left >= 1 else left, now)
        if len(self._buckets) > MOST_ADDRESSES:
            self._buckets.popitem(last=False)
        return left >= 1


def _too_large() -> _Refusal:
    return _Refusal(413, f"the body is larger than {MOST_BODY:,} bytes")


def _values(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in headers if key == name]


def _query_tokens(scope: Scope) -> list[str]:
    try:
        return parse_qs(scope.get("query_string", b"").decode("ascii"), max_num_fields=10).get("token", [])
    except ValueError:
        return []


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())


def _encoded(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("ascii"), value.encode("ascii")) for name, value in headers]


def _replay(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that returns the body first, then the messages of the server, such as ``http.disconnect``."""
    waiting = [body]

    async def replayed() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return replayed


async def _answer(send: Send, status: int, sentence: str, headers: Sequence[tuple[str, str]] = ()) -> None:
    body = json.dumps({"error": sentence}).encode("ascii")
    own = [("content-type", "application/json"), ("content-length", str(len(body))), *headers]
    await send({"type": "http.response.start", "status": status, "headers": _encoded(own)})
    await send({"type": "http.response.body", "body": body})
