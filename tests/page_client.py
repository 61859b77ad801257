"""A client of the page's server, of the standard library alone, which hides nothing of what is sent."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket


class Client:
    """Sends requests. Each has a connection of its own."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, method: str, path: str, body=None, headers=None) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the response; a body that is no bytes is sent as JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        given = {} if body is None else {"content-type": "application/json"}
        try:
            connection.request(method, path, data, {**given, **(headers or {})})
            response = connection.getresponse()
            return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
        finally:
            connection.close()

    def post(self, path: str, **body):
        """Status and JSON of the response to a POST request."""
        status, _, data = self.ask("POST", path, body)
        return status, json.loads(data)

    def get(self, path: str):
        """Status and JSON of the response to a GET request."""
        status, _, data = self.ask("GET", path)
        return status, json.loads(data)

    def generate(self, **body) -> list[tuple[str, dict]]:
        """The events of a text."""
        status, headers, data = self.ask("POST", "/generate", body)
        assert status == 200, data
        assert headers["content-type"].startswith("text/event-stream")
        return events(data)

    def write(self, **body) -> str:
        """The text that is written, its prompt included."""
        return text_of(self.generate(**body))

    def raw(self, data: bytes) -> bytes:
        """The answer to bytes as they are; empty if the server closes without one."""
        with self.open() as connection:
            # The server may answer and close before it has read everything.
            with contextlib.suppress(OSError):
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
            answer = b""
            with contextlib.suppress(ConnectionError):
                while part := connection.recv(65536):
                    answer += part
            return answer

    def open(self) -> socket.socket:
        """A connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)


def events(data: bytes) -> list[tuple[str, dict]]:
    """The events in a body."""
    parts = [event.split("\n") for event in data.decode("ascii").split("\n\n") if event]
    return [(name.removeprefix("event: "), json.loads(value.removeprefix("data: "))) for name, value in parts]


def text_of(told: list[tuple[str, dict]]) -> str:
    """The text of some events."""
    begin = next(data["prompt"] for name, data in told if name == "start")
    return begin + "".join(token["text"] for name, data in told if name == "tokens" for token in data["tokens"])
