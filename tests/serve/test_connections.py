"""Connections that are slow or many are closed, and others are served meanwhile."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import pytest
import uvicorn

from flaxchar.serve.connections import Connection


class Quick(Connection):
    """Limits that a test can wait for."""

    head_seconds, stall_seconds, most = 0.5, 0.5, 20


@pytest.fixture
def port(server):
    return server.config.port


@pytest.fixture(scope="module")
def server():
    """A server with these limits. It answers with a byte, or for /large with more than any buffer holds."""

    async def app(scope, receive, send):
        if scope["path"] == "/body":
            while (await receive()).get("more_body"):
                pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(2000 if scope["path"] == "/large" else 0):
            await send({"type": "http.response.body", "body": b"a" * 65536, "more_body": True})
        await send({"type": "http.response.body", "body": b"a"})

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    port = listener.getsockname()[1]
    config = uvicorn.Config(
        app, port=port, http=Quick, ws="none", loop="asyncio", lifespan="off", log_config=None, log_level=60
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: server.run(sockets=[listener]))
    thread.start()
    yield server
    server.should_exit = True
    thread.join(timeout=20)
    listener.close()


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def get(port, path="/") -> bytes:
    with connect(port) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))


def closed_after(connection, most=15.0) -> float:
    """Seconds until the server closes a connection."""
    began = time.monotonic()
    connection.settimeout(most)
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        pass
    return time.monotonic() - began


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "])
def test_a_request_that_does_not_begin_is_given_up(port, sent):
    with connect(port) as connection:
        connection.sendall(sent)
        assert closed_after(connection) < 10
    assert get(port).startswith(b"HTTP/1.1 200")


def test_bytes_that_trickle_in_do_not_keep_a_connection(port):
    with connect(port) as connection:
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < began + 15:
                connection.sendall(b"G")
                time.sleep(0.05)
        assert time.monotonic() - began < 10


def test_a_second_request_has_the_same_limit(port):
    with connect(port) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET / HT")
        assert closed_after(connection) < 10


def test_a_client_that_takes_nothing_is_given_up(port):
    with connect(port) as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(2.0)
        seen = 0
        try:
            while data := connection.recv(1 << 20):
                seen += len(data)
        except ConnectionError:
            pass
        assert seen < 2000 * 65536
    assert get(port).startswith(b"HTTP/1.1 200")


def test_a_client_that_reads_is_sent_everything(port):
    assert len(get(port, "/large")) > 2000 * 65536


def test_many_idle_connections_make_room_for_others(server, port):
    idle = [connect(port) for _ in range(100)]
    answers = [get(port) for _ in range(5)]
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)
    assert len(server.server_state.connections) <= Quick.most
    for connection in idle:
        connection.close()


def test_half_sent_bodies_make_room_for_others(server, port):
    slow = [connect(port) for _ in range(Quick.most)]
    for connection in slow:
        connection.sendall(b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n1")
    deadline = time.monotonic() + 20
    while len(server.server_state.tasks) < Quick.most and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(server.server_state.tasks) == Quick.most
    assert get(port).startswith(b"HTTP/1.1 200")
    for connection in slow:
        connection.close()
