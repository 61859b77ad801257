"""Attacks on the page: ``flaxchar serve`` in a process of its own, against clients that mean it no good.

``python benchmarks/torture/page.py`` prints a row for each attack. An attempt is lost if it is answered with anything
but a refusal, or if somebody else is not served after the attack. A request that is refused because there were too many
is sent again later: it shall be refused for what it is. The last row compares what the server holds with the beginning.
"""

from __future__ import annotations

import contextlib
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from rows import Row

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from helpers import PALINDROMES, untrained_model  # noqa: E402
from page_client import Client  # noqa: E402

# Seconds within which somebody else must be served; the limit of one address alone may take ten of them.
PATIENCE = 30.0
SCRIPT = "<script>alert(1)</script>"
REFUSALS = range(400, 500)


class Server:
    """The command, and somebody who only wants to use the page."""

    def __init__(self, folder: Path) -> None:
        untrained_model(PALINDROMES).save(folder / "names")
        command = [sys.executable, "-m", "flaxchar", "serve", str(folder / "names")]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout is not None
        address = self.process.stdout.readline().split(" at ")[1].split(" (")[0]
        self.client = Client(int(address.rstrip("/\n").rpartition(":")[2]))
        self.text = self.written()

    def written(self) -> str:
        """A text; waits while this address has asked for too much."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            with contextlib.suppress(OSError, AssertionError):
                return self.client.write(run="names", prompt="An", size=20, seed=1)
            time.sleep(0.5)
        return ""

    def serves(self) -> bool:
        """Whether somebody else gets the same text as at the beginning."""
        return self.process.poll() is None and self.written() == self.text

    def held(self) -> tuple[int, int]:
        """Resident memory in KiB, and file descriptors."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        memory = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(memory.split()[1]), len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))


def answer(client: Client, data: bytes) -> bytes:
    """The answer to bytes as they are, other than that there were too many requests."""
    while (received := client.raw(data)).startswith(b"HTTP/1.1 429"):
        time.sleep(0.5)
    return received


def is_refusal(received: bytes) -> bool:
    """Whether the server has refused a request: by an answer, or by closing."""
    status = received.split(b" ")[1:2]
    if received and not (status[0].isdigit() and int(status[0]) in REFUSALS):
        print(f"  {received[:120]!r}", file=sys.stderr)
    return not received or (status[0].isdigit() and int(status[0]) in REFUSALS)


def asked(client: Client, method: str, path: str, body: object = None, headers: dict | None = None) -> bool:
    """Whether a request is refused."""
    try:
        while (status := client.ask(method, path, body, headers)[0]) == 429:
            time.sleep(0.5)
    except OSError:
        return True  # closed without an answer
    if status not in REFUSALS:
        print(f"  {method} {path} {headers} {str(body)[:80]}: {status}", file=sys.stderr)
    return status in REFUSALS


def attack(server: Server, name: str, attempts: Iterable[Callable[[], bool]]) -> Row:
    """Try each; all of them are lost if nobody is served afterwards."""
    outcomes = [attempt() for attempt in attempts]
    if not server.serves():
        return Row(name, 0, 0, len(outcomes))
    return Row(name, sum(outcomes), 0, len(outcomes) - sum(outcomes))


def heads(client: Client) -> Iterator[Callable[[], bool]]:
    """Heads and bodies that are too large."""
    host = f"Host: 127.0.0.1:{client.port}\r\n".encode()
    for size in (200_000, 2_000_000):
        yield lambda size=size: is_refusal(answer(client, b"GET /" + b"a" * size + b" HTTP/1.1\r\n" + host + b"\r\n"))
        yield lambda size=size: is_refusal(
            answer(client, b"GET / HTTP/1.1\r\n" + host + b"X: " + b"a" * size + b"\r\n\r\n")
        )
        for path in ("/generate", "/score", "/classify"):
            yield lambda size=size, path=path: asked(client, "POST", path, b'{"text": "' + b"a" * size)
    claims = (b"99999999999", b"99999999999999999999", b"-1", b"1e9", b"0x10")
    for claim in claims:
        data = b"POST /score HTTP/1.1\r\n" + host + b"Content-Length: " + claim + b"\r\n\r\n{}"
        yield lambda data=data: is_refusal(answer(client, data))


def bodies(client: Client, count: int) -> Iterator[Callable[[], bool]]:
    """JSON that asks for what there is not, or is none."""
    rng = random.Random(0)
    values = [None, True, -1, 10**30, 1e308, "", "x" * 5000, [], {}, [[]] * 50, "\ud800", "\0"]
    good = {"run": "names", "prompt": "An", "size": 5, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 0}
    wrong = {"run": [None], "size": [5, 10**30], "seed": [0, 10**30], "prompt": ["", "\0", "\ud800"], "top_k": [0]}
    for _ in range(count):
        name = rng.choice(sorted(good))
        value = rng.choice([v for v in values if v not in wrong.get(name, []) and v is not None])
        if name in ("prompt", "run") and isinstance(value, str) and len(value) < 5000:
            value = [value]
        if name in ("temperature", "top_p", "top_k", "size", "seed") and isinstance(value, int | float):
            value = -1 if not isinstance(value, bool) else value
        yield lambda body={**good, name: value}: asked(client, "POST", "/generate", json.dumps(body).encode())
    for data in (
        b"",
        b"{",
        b"[]",
        b"null",
        b"1",
        b"\xff",
        b"[" * 30_000,
        b'{"a":' * 10_000,
        b'{"run": "names", "b": 1}',
    ):
        yield lambda data=data: asked(client, "POST", "/generate", data)


def noise(client: Client, count: int) -> Iterator[Callable[[], bool]]:
    """Bytes that are no request."""
    rng = random.Random(1)
    for _ in range(count):
        yield lambda data=rng.randbytes(rng.randint(1, 400)): is_refusal(answer(client, data))


def injections(client: Client) -> Iterator[Callable[[], bool]]:
    """Line ends and script in paths, parameters, prompts and labels: nothing of them becomes a header or markup."""
    paths = ("/runs/{}/curves", "/{}", "/?token={}", "/openapi.json?{}")
    for path in paths:
        for end in ("%0d%0a", "%0a", "%0d", "%E2%80%A8", "%00%0d%0a", "%250d%250a"):
            data = f"GET {path.format(end + 'X-Injected:%20yes')} HTTP/1.1\r\nHost: 127.0.0.1:{client.port}\r\n\r\n"
            yield lambda data=data.encode(): b"x-injected" not in answer(client, data).split(b"\r\n\r\n")[0].lower()

    def stays_text(method: str, path: str, body: object = None) -> bool:
        _, headers, _ = client.ask(method, path, body)
        kind = headers["content-type"]
        return kind.startswith(("application/json", "text/event-stream")) and "x-content-type-options" in headers

    for body in ({"prompt": SCRIPT}, {"prompt": "An", "label": SCRIPT}, {"run": SCRIPT}, {"regex": SCRIPT}):
        yield lambda body=body: stays_text("POST", "/generate", {"run": "names", **body})
    yield lambda: stays_text("POST", "/score", {"run": "names", "text": SCRIPT})
    yield lambda: stays_text("GET", f"/runs/{SCRIPT}/curves")


def crowd(server: Server, count: int) -> Row:
    """Connections that send nothing, half a head or half a body; others are served meanwhile."""
    beginnings = (b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: ", b"POST /score HTTP/1.1\r\nContent-Length: 50\r\n\r\n{")
    with contextlib.ExitStack() as stack:
        for k in range(count):
            with contextlib.suppress(OSError):
                connection = stack.enter_context(server.client.open())
                connection.sendall(beginnings[k % len(beginnings)])
        served = server.serves()
    return Row("a thousand connections that never finish a request", 0, count * served, count * (not served))


def leavers(server: Server, count: int) -> Row:
    """Readers of a long text who go away in the middle: their rows are free for others."""
    body = json.dumps({"run": "names", "prompt": "An", "size": 4000, "temperature": 1.5}).encode()
    head = f"POST /generate HTTP/1.1\r\nHost: 127.0.0.1:{server.client.port}\r\nContent-Type: application/json\r\n"
    lost = 0
    for _ in range(count):
        with contextlib.suppress(OSError), server.client.open() as connection:
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            connection.recv(100)
    lost = count * (not server.serves())
    return Row("readers who leave in the middle of a text", 0, count - lost, lost)


def attacks() -> Iterator[Row]:
    """All attacks on the page, a row each."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder))
        client = server.client
        try:
            before = server.held()
            hosts = ["evil.example", f"evil.example:{client.port}", "127.0.0.1", f"127.0.0.1:{client.port + 1}"]
            hosts += [
                f"127.0.0.1.evil.example:{client.port}",
                f"localhost.evil:{client.port}",
                "",
                f"0.0.0.0:{client.port}",
            ]
            hosts += [f"[::1]:{client.port}.evil", f"localhost:{client.port}@evil", "169.254.169.254", "*"]
            paths = ("/", "/runs", "/openapi.json")
            trials = [(host, path) for host in hosts for path in paths]
            yield attack(
                server,
                "a `Host` that is not loopback",
                (lambda h=h, p=p: asked(client, "GET", p, headers={"host": h}) for h, p in trials),
            )
            origins = [
                "http://evil.example",
                "null",
                "http://localhost:1",
                f"http://evil.example:{client.port}",
                "file://",
            ]
            methods = (("POST", "/generate"), ("POST", "/score"), ("OPTIONS", "/generate"), ("GET", "/runs"))
            yield attack(
                server,
                "a request of another origin",
                (
                    lambda m=m, p=p, o=o: asked(client, m, p, b"{}" if m == "POST" else None, {"origin": o})
                    for m, p in methods
                    for o in origins
                ),
            )
            yield attack(server, "oversized heads and bodies, false lengths", heads(client))
            yield attack(server, "bodies that are no good request", bodies(client, 200))
            yield attack(server, "bytes that are no request", noise(client, 200))
            yield attack(server, "line ends and script in paths, prompts and labels", injections(client))
            yield crowd(server, 1000)
            yield leavers(server, 200)
            after = server.held()
            grown = after[0] > 1.25 * before[0] or after[1] > before[1] + 20
            yield Row("what the server holds after all that, against the beginning", 0, 1 - grown, int(grown))
        finally:
            server.process.terminate()
            server.process.wait(30)


if __name__ == "__main__":
    fewest, most = resource.getrlimit(resource.RLIMIT_NOFILE)  # the server takes the limit over
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(fewest, 4096), max(most, 4096)))
    for result in attacks():
        print(result, flush=True)
