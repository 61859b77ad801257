"""The batcher: one thread that owns the device, generates all texts in batches, and runs other jobs in between.

The texts of a model are in batches of ``ROWS`` rows (``flaxchar.serve.decoding``). A text takes a free row, and frees
it when it ends or its reader has disconnected. Between two calls of a batch the thread runs at most one other job, such
as the scores of a text, so nobody waits long for anybody else.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flaxchar.generation.sampling import Sampling
from flaxchar.insight.trace import END
from flaxchar.kernels.random import new_key
from flaxchar.models.trained import TrainedModel
from flaxchar.serve.decoding import NO_TOP_P, ROWS, STEPS, Inputs, decode_rows
from flaxchar.serve.streams import MOST_SOURCE, Drawn, Ended, Reason, Stream, Token

# The most texts that are written at once, and the most jobs that wait.
MOST_STREAMS, MOST_JOBS = 64, 64


class BusyError(Exception):
    """The limit on texts or on waiting jobs is reached, the server is closing, or the client has disconnected."""


class _Batch:
    """A batch of rows for one model; some of the rows have a text."""

    def __init__(self, trained: TrainedModel) -> None:
        vocabulary = trained.vocabulary
        self.trained = trained
        self.rows: list[Stream | None] = [None] * ROWS
        self._names = [END, *(token or "" for token in vocabulary.tokens), *[""] * vocabulary.has_unknown, END]
        # Copies, because `decode_rows` donates each array and several of the initial ones share a buffer.
        self._carry = jax.tree.map(jnp.copy, trained.model.initial_step_carry(ROWS, MOST_SOURCE + 2))
        self._keys: Any = None

    @property
    def live(self) -> int:
        """Number of rows with a text."""
        return sum(stream is not None for stream in self.rows)

    def admit(self, stream: Stream) -> bool:
        """Give a text a free row. False if there is none or the text is for another model."""
        if stream.trained is not self.trained or None not in self.rows:
            return False
        self.rows[self.rows.index(None)] = stream
        self._keys = None
        return True

    def advance(self) -> None:
        """Write a few tokens of every text, and free the rows of those that end."""
        for row, stream in enumerate(self.rows):
            if stream is not None and (stream.closed or stream.left <= 0):
                if not stream.closed:
                    stream.deliver(Ended("size"))
                self.rows[row] = None
        if not self.live:
            return
        inputs, ends = self._inputs()
        outputs, self._carry = decode_rows(
            self.trained.model,
            self.trained.params,
            self._carry,
            inputs,
            self._row_keys(),
            self._sampling(),
            banned=self.trained.vocabulary.never_written,
        )
        columns = [np.swapaxes(np.asarray(part), 0, 1).tolist() for part in outputs]  # by row, then by step
        for row, stream in enumerate(self.rows):
            if stream is not None and ends[row]:
                drawn = [Drawn(*parts) for parts in zip(*(column[row] for column in columns), strict=True)]
                self._deliver(stream, row, drawn[int(inputs.counts[row]) - 1 :])

    def end(self, reason: Reason) -> None:
        """End every text."""
        for row, stream in enumerate(self.rows):
            if stream is not None and not stream.closed:
                stream.deliver(Ended(reason))
            self.rows[row] = None

    def _inputs(self) -> tuple[Inputs, list[bool]]:
        """The inputs of the next call, and which rows draw in it: those whose given tokens end in this call."""
        inputs = Inputs(
            np.zeros(ROWS, bool), np.ones((ROWS, STEPS), np.int32), np.ones(ROWS, np.int32), np.zeros(ROWS, np.int32)
        )
        ends = [False] * ROWS
        for row, stream in enumerate(self.rows):
            if stream is None:
                continue
            given = [stream.waiting.popleft() for _ in range(min(STEPS, len(stream.waiting)))]
            inputs.given[row, : len(given)] = given
            inputs.counts[row], inputs.drawn[row], inputs.fresh[row] = len(given), stream.drawn, stream.fresh
            stream.fresh, ends[row] = False, not stream.waiting
        return inputs, ends

    def _deliver(self, stream: Stream, row: int, drawn: list[Drawn]) -> None:
        """Deliver the tokens that a row drew, and free the row if the text ends."""
        tokens: list[Token] = []
        ended: Ended | None = None
        for one in drawn:
            taken = stream.take(one, self._names)
            if isinstance(taken, Ended):
                ended = taken
                break
            if taken is not None:
                tokens.append(taken)
            if stream.left <= 0:
                ended = Ended("size")
                break
        stream.waiting.append(drawn[-1].id)  # all earlier tokens have been fed already
        if tokens and not stream.closed:
            stream.deliver(tokens)
        if ended is not None:
            self.rows[row] = None
            if not stream.closed:
                stream.deliver(ended)

    def _row_keys(self) -> Any:
        if self._keys is None:
            unused = new_key(0)
            self._keys = jnp.stack([unused if stream is None else stream.key for stream in self.rows])
        return self._keys

    def _sampling(self) -> Sampling:
        """The settings of each row, arrays ``[rows]``."""
        each = [Sampling() if stream is None else stream.sampling for stream in self.rows]
        kinds = np.float32, np.int32, np.float32, np.float32
        columns = Sampling(*(np.array(c, kind) for kind, c in zip(kinds, zip(*each, strict=True), strict=True)))
        return columns._replace(top_p=np.where(columns.top_p >= 1, np.float32(NO_TOP_P), columns.top_p))


class Batcher:
    """The thread that owns the device.

    Example::

        batcher = Batcher()
        batcher.open(Stream(trained, encode_prompt(trained, "Today "), Sampling(), 0, print))
        batcher.submit(lambda: trace(trained, "Today ")).result()
        batcher.close()
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._jobs: deque[tuple[Callable[[], Any], Future]] = deque()
        self._new: deque[Stream] = deque()
        self._batches: list[_Batch] = []
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="flaxchar-device", daemon=True)
        self._thread.start()

    @property
    def streams(self) -> int:
        """How many texts are being written."""
        with self._condition:
            return len(self._new) + sum(batch.live for batch in self._batches)

    def open(self, stream: Stream) -> None:
        """Add a text to be written.

        Raises:
          BusyError: ``MOST_STREAMS`` texts are being written, or the server is closing.
        """
        with self._condition:
            if self._closing or len(self._new) + sum(batch.live for batch in self._batches) >= MOST_STREAMS:
                raise BusyError(f"{MOST_STREAMS} texts are being written, the most at once; try again in a moment")
            self._new.append(stream)
            self._condition.notify()

    def submit(self, job: Callable[[], Any]) -> Future:
        """Run a function in the thread; the future gets its result or its exception.

        Raises:
          BusyError: ``MOST_JOBS`` jobs wait, or the server is closing.
        """
        future: Future = Future()
        with self._condition:
            if self._closing or len(self._jobs) >= MOST_JOBS:
                raise BusyError(f"{MOST_JOBS} requests wait for the device; try again in a moment")
            self._jobs.append((job, future))
            self._condition.notify()
        return future

    def close(self) -> None:
        """End every text and job, and the thread."""
        with self._condition:
            self._closing = True
            self._condition.notify()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while self._wait():
            self._run_job()
            self._admit()
            for batch in list(self._batches):
                self._advance(batch)
        with self._condition:
            for stream in self._new:
                stream.deliver(Ended("closing"))
            for _, future in self._jobs:
                future.cancel()
            self._new.clear()
            self._jobs.clear()
        for batch in self._batches:
            batch.end("closing")

    def _wait(self) -> bool:
        """Wait until there is work. False when the server closes."""
        with self._condition:
            while not (self._closing or self._jobs or self._new or self._batches):
                self._condition.wait()
            return not self._closing

    def _run_job(self) -> None:
        with self._condition:
            if not self._jobs:
                return
            job, future = self._jobs.popleft()
        if not future.set_running_or_notify_cancel():
            return  # nobody waits for it any more
        try:
            result = job()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    def _admit(self) -> None:
        """Give each new text a row; if none is free, in a new batch."""
        with self._condition:
            while self._new:
                stream = self._new.popleft()
                if stream.closed or any(batch.admit(stream) for batch in self._batches):
                    continue
                batch = _Batch(stream.trained)
                batch.admit(stream)
                self._batches.append(batch)

    def _advance(self, batch: _Batch) -> None:
        """Advance a batch. If the device fails, its texts end, and the others go on."""
        try:
            batch.advance()
        except Exception:
            logging.getLogger(__name__).exception("a batch of %d texts has failed", batch.live)
            batch.end("error")
        if not batch.live:
            with self._condition:
                self._batches.remove(batch)
