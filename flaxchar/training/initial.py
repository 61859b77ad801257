"""A run that begins with the weights of another: its network, its characters, and then its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flaxchar.config import Config, InputError
from flaxchar.data.vocabulary import Vocabulary
from flaxchar.models.charlm import Params
from flaxchar.models.transfer import Transfer, transfer
from flaxchar.training.run_directory import Run
from flaxchar.training.same_run import as_typed
from flaxchar.training.saved_model import load_model

# The settings that a run takes from the one it begins with: they give the parameters their shapes and meaning.
NETWORK = ("cell", "layers", "hidden", "embedding", "residual", "layer_norm", "unit")


def with_network(settings: Mapping[str, Any], run: Run | None = None) -> dict[str, Any]:
    """Add the network of the run that ``init_from`` names to the settings that the user gave.

    Args:
      settings: what the user set, by name; returned as it is where it does not name ``init_from``.
      run: the run that is continued, if there is one: it has taken over the network already.

    Raises:
      InputError: there is no run, or a setting contradicts its network.
    """
    settings = dict(settings)
    name = settings.get("init_from")
    if name is None:
        return settings
    config = run.config if run is not None else _config_of(Path(name))
    theirs = config.by_name()
    for setting in NETWORK:
        if run is None and setting in settings and settings[setting] != theirs[setting]:
            raise InputError(
                f"`{setting}` is {as_typed(settings[setting])}, and the run in {name} has {as_typed(theirs[setting])}: "
                f"a run that begins with its weights has its network, so leave out `{setting}`"
            )
        settings.setdefault(setting, theirs[setting])
    # What a preset says of a network that this one is not.
    if not theirs["embedding"]:
        settings.setdefault("input_dropout", 0.0)
    if theirs["cell"] in ("mingru", "minlstm"):
        settings.setdefault("recurrent_dropout", 0.0)
    return settings


def _config_of(path: Path) -> Config:
    run = Run.open(path)
    run.close()
    return run.config


def known_tokens(config: Config, run: Run | None = None) -> tuple[str, ...]:
    """The tokens that the vocabulary of a run holds beside those of its texts: those of ``init_from``.

    Args:
      config: the settings.
      run: the run that is continued, if there is one: it keeps these tokens, so that it needs the other run no longer.
    """
    if run is not None:
        return tuple(run.record["texts"].get("known", ()))
    if config.training.init_from is None:
        return ()
    first = Run.open(Path(config.training.init_from))
    first.close()
    return tuple(token for token in first.vocabulary.tokens if token is not None)


def take_over(config: Config, vocabulary: Vocabulary, fresh: Params) -> Transfer | None:
    """The parameters that a new run begins with; None where they are random.

    Raises:
      InputError: there is no model in the directory that ``init_from`` names.
    """
    if config.training.init_from is None:
        return None
    path = Path(config.training.init_from)
    run = Run.open(path)
    try:
        trained = load_model(run)
    finally:
        run.close()
    taken = transfer(trained, vocabulary, fresh, trained.config.model.head == config.model.head)
    return taken._replace(sentence=f"taken over from {path}: {taken.sentence}")
