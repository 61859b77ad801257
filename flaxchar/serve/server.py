"""The server: uvicorn on a socket that flaxchar opens, until ``should_exit`` is set."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import secrets
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import uvicorn

from flaxchar.config import InputError
from flaxchar.serve.api import make_app
from flaxchar.serve.batcher import Batcher
from flaxchar.serve.connections import Connection
from flaxchar.serve.guard import Access, Guard
from flaxchar.serve.pool import ModelPool

# The first port that is tried, and the number of ports that are tried.
FIRST_PORT, TRIED_PORTS = 8321, 20
# Seconds that responses have to end when the server ends.
GRACE_SECONDS = 2
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_ANY = ("0.0.0.0", "::")


class PageServer(uvicorn.Server):
    """The server of the page and the API for some runs.

    Attributes:
      url: the address of the page, with the token if there is one.
      port: its port.
      token: the token that every request needs; None on loopback.

    Example::

        server = PageServer([Path("runs/headlines")])
        print(server.url)
        server.run_until_stopped()
    """

    def __init__(self, paths: Sequence[Path], host: str = "127.0.0.1", port: int | None = None) -> None:
        """Open the runs and the port.

        Args:
          paths: folders of runs.
          host: the address to listen on.
          port: the port; None for ``FIRST_PORT`` or the next free one.

        Raises:
          InputError: a folder has no run, or the address or the port cannot be used.
        """
        pool = ModelPool(paths)
        self._socket = _listen(host, port)
        self.port = port = self._socket.getsockname()[1]
        local = is_loopback(host)
        self.token = None if local else secrets.token_urlsafe(24)
        shown = f"[{host}]" if ":" in host else host
        names = {name.lower() for name in (*_LOOPBACK, shown)}
        hosts = frozenset(f"{name}:{port}" for name in names) | (names if port == 80 else frozenset())
        reached = _LOOPBACK[0] if host in _ANY else shown
        self.url = f"http://{reached}:{port}/" + ("" if self.token is None else f"?token={self.token}")
        self.batcher = Batcher()
        access = Access(None if host in _ANY else hosts, self.token)
        super().__init__(
            uvicorn.Config(
                Guard(make_app(pool, self.batcher), access),
                http=Connection,
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_config=None,
                log_level="critical",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )

    def run_until_stopped(self) -> None:
        """Serve until ``should_exit`` is set, for example by a signal handler."""
        try:
            self.run(sockets=[self._socket])
        finally:
            self.close()

    def close(self) -> None:
        """Close the socket and end the batcher's thread."""
        self._socket.close()
        self.batcher.close()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do not handle signals; the command does."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the texts, then the connections: a connection would wait for its text."""
        await asyncio.to_thread(self.batcher.close)
        await super().shutdown(sockets)


def is_loopback(host: str) -> bool:
    """Whether an address can be reached only from this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int | None) -> socket.socket:
    """A socket that listens on an address.

    Raises:
      InputError: the address is not one of this machine's, or the port is taken or not allowed.
    """
    ports = range(FIRST_PORT, FIRST_PORT + TRIED_PORTS) if port is None else [port]
    try:
        family, _, _, _, address = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError) as error:
        raise InputError(f"`host` is {host!r}, which is no address of this machine: {error}") from error
    for number in ports:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address[0], number, *address[2:]))
            listener.listen(1024)
            listener.setblocking(False)
            return listener
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE:
                what = "`port`" if error.errno in (errno.EACCES, errno.EPERM) else "`host`"
                raise InputError(f"{what} cannot be used: {host}, port {number}: {error.strerror}") from error
    if port is not None:
        raise InputError(f"`port` {port} is taken by another process; name another one, or leave it out for a free one")
    raise InputError(f"the ports {ports[0]} to {ports[-1]} are all taken; name a free one with `port`")
