"""The metrics of a run: its training and held-out losses, recorded in the run directory."""

from __future__ import annotations

import dataclasses
import math

from flaxchar.training.loop import Progress, log_interval
from flaxchar.training.reporting import Observer, Report
from flaxchar.training.run_directory import METRICS, SAMPLES, Run


class Metrics:
    """Records progress and evaluations in the run directory, and passes progress to the observer."""

    def __init__(
        self,
        run: Run | None,
        observer: Observer,
        steps: int,
        steps_per_epoch: int,
        characters_per_token: float,
        spelling: float = 0.0,
    ) -> None:
        """Begin to record.

        Args:
          run: the run directory; None to record nothing.
          observer: receives the progress.
          steps: number of steps of the whole run.
          steps_per_epoch: number of steps in one pass over the texts.
          characters_per_token: mean number of characters that a token stands for.
          spelling: mean bits per character that the spelling of unknown tokens takes in the training texts; added to
            the bits per character of each record.
        """
        self._run, self._observer = run, observer
        self._steps, self._steps_per_epoch, self._characters_per_token = steps, steps_per_epoch, characters_per_token
        self._spelling = spelling
        self._log_every = log_interval(steps)
        self._unrecorded = Progress()  # sums since the last record

    def progressed(self, progress: Progress) -> None:
        """Pass a stretch of steps to the observer; every ``log_interval`` steps, record the training loss."""
        self._observer.progressed(progress, self._steps, *self._bits_and_characters(progress))
        sums = self._unrecorded
        sums.nats, sums.tokens = sums.nats + progress.nats, sums.tokens + progress.tokens
        sums.skipped += progress.skipped
        sums.seconds += progress.seconds
        if self._run is None or not (progress.step % self._log_every == 0 or progress.step == self._steps):
            return
        bits, characters = self._bits_and_characters(sums)
        record = {
            "step": progress.step,
            "epoch": round(progress.step / self._steps_per_epoch, 4),
            **({"loss": sums.nats / sums.tokens, "bits_per_character": bits} if sums.tokens else {}),
            **({} if progress.gradient_norm is None else {"gradient_norm": progress.gradient_norm}),
            **({"skipped": sums.skipped} if sums.skipped else {}),
            "learning_rate": progress.learning_rate,
            "characters_per_second": round(characters / max(1e-9, sums.seconds)),
            "seconds": round(sums.seconds, 3),
        }
        self._run.append(METRICS, [record])
        self._unrecorded = Progress()

    def evaluated(self, report: Report) -> None:
        """Record an evaluation and its samples."""
        if self._run is None:
            return
        if report.evaluation is not None:
            values = report.evaluation._asdict().items()
            # JSON has no NaN: a result that is not finite is null.
            results = {"held_out_" + name: value if math.isfinite(value) else None for name, value in values}
            if not report.evaluation.spelling:
                del results["held_out_spelling"]
            self._run.append(METRICS, [{"step": report.step, "epoch": round(report.epoch, 4), **results}])
        self._run.append(SAMPLES, [{"step": report.step, **dataclasses.asdict(sample)} for sample in report.samples])

    def sync(self) -> None:
        """Make what is recorded durable, before the checkpoint that it belongs to is."""
        if self._run is not None:
            self._run.sync_lines()

    def _bits_and_characters(self, progress: Progress) -> tuple[float, float]:
        """Bits per character of a stretch of steps, and the number of characters it has read."""
        characters = progress.tokens * self._characters_per_token
        return progress.nats / math.log(2) / max(1.0, characters) + self._spelling, characters


def held_out_results(run: Run, until: int, after: int = 0) -> list[float]:
    """The held-out bits per character of each evaluation after step ``after`` and up to step ``until``.

    A result that was not finite is ``inf``.
    """
    name = "held_out_bits_per_character"
    results = [record[name] for record in run.read(METRICS, until) if name in record and record["step"] > after]
    return [math.inf if bits is None or not math.isfinite(bits) else bits for bits in results]
