"""The model of a run's best or last checkpoint, loaded also while another process trains in the run or replaces it."""

from __future__ import annotations

import contextlib

from flaxchar.config import InputError
from flaxchar.models.charlm import make_model, param_shapes
from flaxchar.models.trained import TrainedModel, all_finite
from flaxchar.sizes import count_parameters
from flaxchar.training.checkpoints import GoneError
from flaxchar.training.checksums import DamagedError
from flaxchar.training.run_directory import Run
from flaxchar.training.same_run import changed_settings

# How often a reader begins anew because the run was replaced while it read.
_TRIES = 50


def load_model(run: Run, newest: bool = False) -> TrainedModel:
    """Load the model of the best checkpoint, also while another process trains or begins anew.

    Args:
      run: the run.
      newest: load the model of the last checkpoint instead.

    Raises:
      InputError: there is no checkpoint yet, or the one to load is damaged.
    """
    path = run.path
    for _ in range(_TRIES):
        trained, damage = None, None
        try:
            trained = _load(run, newest)
        except GoneError:
            pass
        except DamagedError as error:
            damage = error
        again = Run.open(path)
        if changed_settings(run.config, again.config) or run.vocabulary != again.vocabulary:
            trained = damage = None  # a new run took the folder meanwhile
        if damage is not None:
            raise DamagedError(f"{damage}{_another_checkpoint(run, newest)}") from damage
        if trained is not None:
            return trained
        run = again
    raise InputError(f"{path} is being replaced again and again by another process")


def _load(run: Run, newest: bool) -> TrainedModel:
    step = _step(run, newest)
    if step is None:
        raise InputError(f"{run.path} holds no checkpoint yet: its training was stopped before the first was saved")
    model = make_model(run.vocabulary, run.config.model)
    # Before shapes are computed, let alone allocated: settings of somebody else may claim any size.
    count = count_parameters(run.config.model, model.vocab, model.source_end is not None)
    run.checkpoints.check_size(step, count)
    params, _ = run.checkpoints.restore(step, param_shapes(model))
    if not all_finite(params):
        raise InputError(
            f"the model in {run.path} holds parameters that are not finite numbers: its training has diverged; "
            "train it anew with a lower `learning_rate`"
        )
    return TrainedModel(params, run.vocabulary, run.config)


def _step(run: Run, newest: bool) -> int | None:
    """The step of the checkpoint to load; None where there is none yet."""
    best = run.checkpoints.best()
    return run.checkpoints.last_step() if newest or best is None else best[0]


def _another_checkpoint(run: Run, newest: bool) -> str:
    """What to do where the checkpoint to load is damaged and another one is whole; empty where none is."""
    tried = None
    with contextlib.suppress(DamagedError):  # a damaged result, without which the best checkpoint is unknown
        tried = _step(run, newest)
    whole = [step for step in run.checkpoints.steps() if step != tried and run.checkpoints.damage(step) is None]
    if not whole:
        return ""
    return f"; that of step {whole[-1]} is whole: to use it instead, move the damaged folder away"
