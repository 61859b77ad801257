"""Connections: limits on their number and on slow clients, so that slow or idle clients never block others.

uvicorn waits forever for the headers of a first request, and for a client that does not read. Here a client must send
the headers within ``HEAD_SECONDS``, and must read its response: if it reads nothing for ``STALL_SECONDS``, the
connection is closed. If there are too many connections, the oldest one without a complete request is closed.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

# The most connections at once. The usual limit of open files in a process is 1,024, on macOS 256.
MOST_CONNECTIONS = 200
# Seconds in which the headers must come, and in which a client must read again after it has stopped.
HEAD_SECONDS, STALL_SECONDS = 10.0, 20.0


class Connection(H11Protocol):
    """One connection, with limits."""

    head_seconds, stall_seconds, most = HEAD_SECONDS, STALL_SECONDS, MOST_CONNECTIONS

    def __init__(self, *arguments: Any, **others: Any) -> None:
        """Arguments as uvicorn passes them."""
        super().__init__(*arguments, **others)
        self.opened = self.loop.time()
        self._head: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None

    @property
    def served(self) -> bool:
        """Whether a whole request has come and its response is under way."""
        cycle = self.cycle
        return cycle is not None and not cycle.response_complete and not cycle.more_body

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Make room for the connection if there are too many, and wait for its first request."""
        super().connection_made(transport)
        if len(self.connections) > self.most:
            idle = [c for c in self.connections if isinstance(c, Connection) and not c.served]
            min(idle, key=lambda connection: connection.opened).abort()
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Handle data; ``Guard`` limits the time of a request's body."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            _cancel(self._head)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._wait_for_head()
        super().on_response_complete()  # perhaps the next one has come already
        if not self.cycle.response_complete:
            _cancel(self._head)

    def pause_writing(self) -> None:
        """The client has stopped reading: wait ``STALL_SECONDS``, then close the connection."""
        super().pause_writing()
        _cancel(self._stall)
        self._stall = self.loop.call_later(self.stall_seconds, self.abort)

    def resume_writing(self) -> None:
        """The client reads again."""
        _cancel(self._stall)
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timers."""
        _cancel(self._head)
        _cancel(self._stall)
        super().connection_lost(exc)

    def abort(self) -> None:
        """Close the connection at once and drop what is still to be sent."""
        self.connections.discard(self)
        self.transport.abort()

    def _wait_for_head(self) -> None:
        _cancel(self._head)
        self._head = self.loop.call_later(self.head_seconds, self.abort)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
