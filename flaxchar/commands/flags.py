"""Names of parameters on the command line, and messages that name them."""

from __future__ import annotations

import ast
import dataclasses
import re
import shlex

from flaxchar.settings import DataConfig, ModelConfig, TrainingConfig

# Names of all settings of a run.
SETTINGS = frozenset(
    field.name for kind in (DataConfig, ModelConfig, TrainingConfig) for field in dataclasses.fields(kind)
)
# Parameters of commands and Python functions whose flag has another name.
_OTHER_FLAGS = {
    "beams": "--beam",
    "held_out": "--val-data",
    "labels": "--label-field",
    "sources": "--source-field",
}
# Other parameters that messages name: those of the commands and of LanguageModel.
_PARAMETERS = {
    *("workdir", "preset", "fresh", "devices", "model_shards", "distributed", "coordinator", "processes", "process_id"),
    *("to", "vocabulary"),
    *("debug", "temperature", "top_k", "top_p", "min_p", "size", "num_samples", "unknown", "label", "source", "prompt"),
    *("repetition_penalty", "blend", "forbid", "regex", "acrostic", "stop", "interactive"),
    *("host", "port"),
    *("beam", "novel", "stream", "grid", "json", "color", "rank", "adapt", "tensorboard", "output", "target_field"),
    *SETTINGS,
    *_OTHER_FLAGS,
}
_NAMED = re.compile(r"`(\w+)(?:=([^`]+))?`")


def flag(name: str) -> str:
    """The flag of a parameter: ``max_length`` → ``--max-length``."""
    return _OTHER_FLAGS.get(name, "--" + name.replace("_", "-"))


def as_flags(message: str) -> str:
    """Rewrite the parameters that a message names in backticks as flags.

    Example::

        as_flags('raise `max_length`, or leave them out with `unknown="drop"`')
        # 'raise --max-length, or leave them out with --unknown drop'
    """
    return _NAMED.sub(_as_flag, message)


def _as_flag(match: re.Match[str]) -> str:
    name, written = match.groups()
    if name not in _PARAMETERS:
        return match[0]
    if written is None:
        return flag(name)
    try:
        value = ast.literal_eval(written)
    except (SyntaxError, ValueError):
        return f"{flag(name)} {written}"
    if isinstance(value, bool):
        return flag(name) if value else f"--no-{name.replace('_', '-')}"
    values = value if isinstance(value, list | tuple) else [value]
    return " ".join([flag(name), *(shlex.quote(str(item)) for item in values)])
