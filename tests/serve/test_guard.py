"""What the guard refuses, and what it adds to every response."""

from __future__ import annotations

import asyncio
import json

import pytest
from helpers import fake_clock

from flaxchar.serve import guard as module
from flaxchar.serve.guard import BURST, COOKIE, MOST_BODY, Access, Guard

LOOPBACK = Access(frozenset({"127.0.0.1:8321", "localhost:8321"}))
TOKEN = Access(None, "secret-token")
JSON = (b"content-type", b"application/json")


def ask(
    access=LOOPBACK, method="GET", path="/runs", headers=(), body=(b"",), query=b"", host=b"localhost:8321", guard=None
):
    """Status, headers and body of the answer to one request. ``body``: its parts; a number is a wait of that long."""
    sent = []

    async def app(scope, receive, send):
        message = await receive()
        assert message["body"] != b"explode"
        head = [(b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": b"seen " + message["body"]})

    async def run():
        parts = list(body)

        async def receive():
            while parts and isinstance(parts[0], float):
                await asyncio.sleep(parts.pop(0))
            return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

        async def send(message):
            sent.append(message)

        given = [*([] if host is None else [(b"host", host)]), *headers]
        scope = {"type": "http", "method": method, "path": path, "query_string": query, "headers": given}
        await (guard or Guard(app, access, body_seconds=0.2))(scope | {"client": ("127.0.0.1", 1)}, receive, send)

    asyncio.run(run())
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


def test_a_good_request_is_let_through_with_the_headers_of_the_page():
    status, headers, body = ask(method="POST", headers=[JSON], body=[b'{"a"', b": 1}"])
    assert (status, body) == (200, b'seen {"a": 1}')
    assert headers[b"content-security-policy"].startswith(b"default-src 'none'; script-src 'self'; style-src 'self'")
    assert b"unsafe" not in headers[b"content-security-policy"]
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert headers[b"cross-origin-resource-policy"] == b"same-origin"
    assert headers[b"cache-control"] == b"no-store"
    assert b"access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    "host",
    [
        None, b"evil.example", b"evil.example:8321", b"127.0.0.1", b"127.0.0.1:80", b"127.0.0.1:8321.evil.example",
        b"localhost:8321@evil.example", b"", b"localhost:8321\x00", b"\xff",
    ],
)  # fmt: skip
def test_a_host_that_is_not_loopback_is_refused(host):
    status, headers, body = ask(host=host)
    assert status == 421
    assert b"error" in body
    assert headers[b"x-content-type-options"] == b"nosniff"  # refusals have the headers too


def test_two_hosts_are_refused():
    assert ask(headers=[(b"host", b"evil.example")])[0] == 421


@pytest.mark.parametrize(
    "origin", [b"http://evil.example", b"null", b"http://localhost:9999", b"http://localhost:8321.evil.example", b""]
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_a_page_of_another_origin_is_refused(origin, method):
    status, headers, _ = ask(method=method, headers=[(b"origin", origin), JSON])
    assert status == 403
    assert b"access-control-allow-origin" not in headers


def test_what_a_browser_says_of_another_site_is_refused_but_a_link_to_the_page_is_not():
    for site in (b"cross-site", b"same-site"):
        assert ask(headers=[(b"sec-fetch-site", site)])[0] == 403
        assert ask(headers=[(b"sec-fetch-site", site)], path="/")[0] == 200
    for site in (b"same-origin", b"none"):
        assert ask(headers=[(b"sec-fetch-site", site)])[0] == 200
    assert ask(headers=[(b"origin", b"http://localhost:8321")])[0] == 200


@pytest.mark.parametrize(
    "kind", [None, b"text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data", b"application/jsonx"]
)
def test_a_form_of_another_page_is_refused(kind):
    """These are the types that a page of another origin may send without asking first."""
    assert ask(method="POST", headers=[] if kind is None else [(b"content-type", kind)])[0] == 415


def test_an_oversized_body_is_refused_by_its_claim_and_by_its_content():
    claim = (b"content-length", str(MOST_BODY + 1).encode())
    assert ask(method="POST", headers=[JSON, claim])[0] == 413
    assert ask(method="POST", headers=[JSON], body=[b"a" * 40_000, b"b" * 40_000])[0] == 413
    assert ask(method="POST", headers=[JSON], body=[b"a" * MOST_BODY])[0] == 200


def test_a_slow_body_is_refused():
    status, headers, _ = ask(method="POST", headers=[JSON], body=[b"{", 60.0, b"}"])
    assert status == 408
    assert headers[b"connection"] == b"close"


def test_too_many_requests_of_an_address_are_refused_and_later_ones_are_not(monkeypatch):
    clock = fake_clock(monkeypatch, module.__name__)
    rates = module._Rates()
    assert [rates.allow("a") for _ in range(BURST + 2)] == [True] * BURST + [False] * 2
    assert rates.allow("b")
    clock[0] += 1
    assert [rates.allow("a") for _ in range(int(module.PER_SECOND) + 1)] == [True] * int(module.PER_SECOND) + [False]


def test_a_refused_request_is_told_when_to_come_again(monkeypatch):
    monkeypatch.setattr(module, "BURST", 0)
    status, headers, body = ask()
    assert (status, headers[b"retry-after"]) == (429, b"1")
    assert b"too many requests" in body


def test_addresses_that_are_remembered_are_bounded(monkeypatch):
    monkeypatch.setattr(module, "MOST_ADDRESSES", 10)
    rates = module._Rates()
    for k in range(100):
        rates.allow(str(k))
    assert len(rates._buckets) == 10


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"authorization", b"Bearer wrong")],
        [(b"authorization", b"Bearer ")],
        [(b"authorization", "Bearer s\u00e9cret".encode("latin-1"))],
        [(b"cookie", b"flaxchar_token=wrong")],
        [(b"cookie", b"flaxchar_token=secret-toke")],
        [(b"cookie", b";;;=\xff")],
    ],
)
def test_without_the_token_nothing_is_served(headers):
    for path in ("/", "/runs", "/main.js"):
        status, _, body = ask(TOKEN, path=path, headers=headers)
        assert status == 401
        assert b"secret-token" not in body
    assert ask(TOKEN, path="/runs", headers=headers, query=b"token=secret-token")[0] == 401  # only the page's address


def test_the_token_is_taken_from_the_address_once_and_then_from_the_cookie():
    status, headers, _ = ask(TOKEN, path="/", query=b"token=secret-token")
    assert (status, headers[b"location"]) == (303, b"/")
    assert headers[b"set-cookie"] == f"{COOKIE}=secret-token; HttpOnly; SameSite=Strict; Path=/".encode()
    cookie = (b"cookie", b"a=b; flaxchar_token=secret-token")
    assert ask(TOKEN, path="/", headers=[cookie])[0] == 200
    assert ask(TOKEN, headers=[cookie], host=b"my-machine:8321")[0] == 200
    assert ask(TOKEN, headers=[(b"authorization", b"Bearer secret-token")])[0] == 200
    assert ask(TOKEN, headers=[cookie, (b"origin", b"http://evil.example")])[0] == 403


def test_a_failure_of_the_application_is_one_sentence(caplog):
    status, headers, body = ask(method="POST", headers=[JSON], body=[b"explode"])
    assert status == 500
    assert json.loads(body) == {"error": "the server has failed at this request; its log says more"}
    assert b"content-security-policy" in headers
    assert "AssertionError" in caplog.text
