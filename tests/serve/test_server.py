"""The server against hostile clients: what they send is refused or bounded, and others are served meanwhile."""

from __future__ import annotations

import contextlib
import re
import socket

import pytest
from page_client import Client

from flaxchar import InputError
from flaxchar.serve.server import FIRST_PORT, PageServer, is_loopback


def is_served(client) -> bool:
    return client.get("/runs")[0] == 200 and client.write(run="plain", prompt="An", size=10).startswith("An")


def test_the_host_must_be_loopback_with_the_port(client):
    for host in ("evil.example", f"evil.example:{client.port}", "127.0.0.1", f"127.0.0.1:{client.port + 1}"):
        assert client.ask("GET", "/runs", headers={"host": host})[0] == 421
    for host in (f"localhost:{client.port}", f"LOCALHOST:{client.port}", f"[::1]:{client.port}"):
        assert client.ask("GET", "/runs", headers={"host": host})[0] == 200


def test_requests_of_other_origins_are_refused(client):
    for origin in ("http://evil.example", "null", "http://localhost:1"):
        assert client.ask("POST", "/generate", {}, {"origin": origin})[0] == 403
        assert client.ask("OPTIONS", "/generate", headers={"origin": origin})[0] == 403
    assert client.ask("GET", "/runs", headers={"origin": f"http://127.0.0.1:{client.port}"})[0] == 200


def test_oversized_heads_and_bodies_are_refused(client):
    host = f"Host: 127.0.0.1:{client.port}\r\n".encode()
    assert client.raw(b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n" + host + b"\r\n")[:12] in (b"HTTP/1.1 400", b"")
    assert client.raw(b"GET / HTTP/1.1\r\n" + host + b"X: " + b"a" * 200_000 + b"\r\n\r\n")[:12] in (
        b"HTTP/1.1 400",
        b"",
    )
    assert client.ask("POST", "/score", b'{"text": "' + b"a" * 70_000)[0] == 413
    head = b"POST /score HTTP/1.1\r\n" + host + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert (
        client.raw(head + b"8000\r\n" + b"a" * 0x8000 + b"\r\n" + b"8001\r\n" + b"a" * 0x8001)[:12] == b"HTTP/1.1 413"
    )
    assert is_served(client)


@pytest.mark.parametrize(
    "path",
    [
        "/runs/a%0d%0aSet-Cookie:%20a=b/curves",
        "/runs/%E2%80%A8%0d%0aX-A:b/curves",
        "/%0d%0aX-Injected:%20yes",
        "/?token=a%0d%0aX-Injected:%20yes",
        "/runs/%00/curves",
        "/..%2f..%2fetc/passwd",
        "/%ff%fe",
    ],
)
def test_nothing_of_a_request_becomes_a_header(client, path):
    head = client.raw(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{client.port}\r\n\r\n".encode()).partition(b"\r\n\r\n")[
        0
    ]
    assert head[:12] in (b"HTTP/1.1 404", b"HTTP/1.1 200")
    names = {line.partition(b":")[0].lower() for line in head.split(b"\r\n")[1:]}
    assert not names & {b"set-cookie", b"x-injected", b"x-a", b"location"}


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"POST /score HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /score HTTP/1.1\r\nHost: {host}\r\nContent-Length: -1\r\n\r\n",
        b"POST /score HTTP/1.1\r\nHost: {host}\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: {host}\r\nX:\x00\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    ],
)
def test_what_is_no_good_request_harms_nobody(client, data):
    answer = client.raw(data.replace(b"{host}", f"127.0.0.1:{client.port}".encode()))
    assert re.match(rb"HTTP/1.1 (200|4\d\d)|$", answer)
    assert client.get("/runs")[0] == 200


def test_script_in_prompts_and_labels_stays_text(client):
    script = "<script>alert(1)</script>"
    status, headers, _ = client.ask("POST", "/score", {"run": "plain", "text": script})
    assert (status, headers["content-type"]) == (200, "application/json")
    assert headers["x-content-type-options"] == "nosniff"
    status, headers, _ = client.ask("POST", "/generate", {"run": "plain", "prompt": script, "label": script})
    assert (status, headers["content-type"]) == (400, "application/json")
    status, headers, _ = client.ask("GET", f"/runs/{script.replace(' ', '')}/curves")
    assert (status, headers["content-type"]) == (404, "application/json")


def test_a_thousand_connections_leave_others_served(client):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2048:
        pytest.skip("this process may not open enough files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    connections = []
    try:
        for k in range(1000):
            connections.append(client.open())
            with contextlib.suppress(ConnectionError):
                connections[-1].sendall((b"", b"POST /generate HT", b"GET / HTTP/1.1\r\nHost: ")[k % 3])
        assert is_served(client)
    finally:
        for connection in connections:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_another_address_than_loopback_has_a_token(runs):
    for host, local in (("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("::", False)):
        assert is_loopback(host) == local
    server = PageServer([runs["plain"]], "0.0.0.0", 0)
    try:
        assert server.token is not None
        assert server.url == f"http://127.0.0.1:{server.port}/?token={server.token}"
    finally:
        server.close()


def test_a_taken_port_is_told_and_a_free_one_found(runs):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        with pytest.raises(InputError, match=r"`port` .* is taken by another process"):
            PageServer([runs["plain"]], port=taken.getsockname()[1])
    first, second = (PageServer([runs["plain"]]) for _ in range(2))
    try:
        assert FIRST_PORT <= first.port < second.port
    finally:
        first.close()
        second.close()


@pytest.mark.parametrize("host", ["no such host", "192.0.2.1", "1.2.3.4.5", "a" * 300, "é" * 64])
def test_an_address_of_no_machine_is_told(runs, host):
    with pytest.raises(InputError, match="`host`"):
        PageServer([runs["plain"]], host, 0)


def test_the_end_of_the_server_ends_its_texts(runs):
    import threading
    import time

    server = PageServer([runs["plain"]], port=0)
    thread = threading.Thread(target=server.run_until_stopped)
    thread.start()
    with Client(server.port).open() as connection:
        body = b'{"size": 4000, "temperature": 0.01}'
        head = f"POST /generate HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert connection.recv(100)
        server.should_exit = True
        began = time.monotonic()
        while connection.recv(65536):
            pass
    thread.join(timeout=20)
    assert not thread.is_alive()
    assert time.monotonic() - began < 10
