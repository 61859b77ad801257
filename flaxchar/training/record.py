"""The record of a run, ``config.json``, checked before anything is done with it: somebody else may have written it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flaxchar.config import Config, InputError, parse_duration
from flaxchar.validation import MOST, shown


def check_record(record: Any, formats: tuple[int, ...]) -> Config:
    """Check the values of a ``config.json``, fill in sections that older versions did not write; return the settings.

    Raises:
      InputError: a value cannot be; the message goes on after the name of the file.
    """
    if not isinstance(record, dict) or type(record.get("format")) is not int or record["format"] not in formats:
        raise InputError("was not written by this version of flaxchar")
    try:
        for problem in _problems(record):
            raise InputError(problem)
        config = Config.from_dict(record["config"])
        for section, settings in config.to_dict().items():
            record["config"].setdefault(section, settings)
        for stretch in record.get("stretches") or ():
            if stretch["time_budget"] is not None:
                parse_duration(stretch["time_budget"])
    except InputError as error:
        # In these messages a parameter is a key of the file, no flag.
        raise InputError(f"cannot be used: {str(error).replace('`', chr(39))}") from error
    return config


def _problems(record: dict[str, Any]) -> Iterator[str]:
    if "config" not in record:
        yield "the key 'config' is missing"
    yield from _whole("steps", record.get("steps"))
    folder, texts, stretches = record.get("folder"), record.get("texts"), record.get("stretches")
    if not (folder is None or isinstance(folder, str)) or "\0" in (folder or ""):
        yield f"'folder' is {shown(folder)}; it must be a string"
    checksums = record.get("checksums", {})
    if not (isinstance(checksums, dict) and all(isinstance(digest, str) for digest in checksums.values())):
        yield f"'checksums' is {shown(checksums)}; it must be an object of strings"
    if not isinstance(texts, dict):
        yield f"'texts' is {shown(texts)}; it must be an object"
    elif texts:  # a model that was saved by itself has none
        if not isinstance(texts.get("sha256", ""), str):
            yield f"'texts.sha256' is {shown(texts.get('sha256'))}; it must be a string"
        known = texts.get("known", [])
        if not (isinstance(known, list) and all(isinstance(token, str) for token in known)):
            yield f"'texts.known' is {shown(known)}; it must be a list of strings"
    if stretches is None:
        return
    if not isinstance(stretches, list) or not stretches:
        yield f"'stretches' is {shown(stretches)}; it must be a list"
    before = 0
    for stretch in stretches:
        if not isinstance(stretch, dict) or stretch.keys() != {"steps", "time_budget"}:
            yield f"'stretches' hold {shown(stretch)}; each must be an object of 'steps' and 'time_budget'"
        yield from _whole("stretches.steps", stretch["steps"])
        if stretch["steps"] <= before:
            yield f"'stretches.steps' is {stretch['steps']:,} after {before:,}; each must be more than the one before"
        if not isinstance(stretch["time_budget"], str | None):
            yield f"'stretches.time_budget' is {shown(stretch['time_budget'])}; it must be a string or null"
        before = stretch["steps"]
    if before != record["steps"]:
        yield f"'steps' is {record['steps']:,}, but 'stretches' end at {before:,}"


def _whole(key: str, value: Any) -> Iterator[str]:
    if type(value) is not int or not 0 <= value <= MOST:
        yield f"{key!r} is {shown(value)}; it must be a whole number, at least 0 and at most {MOST:,}"
