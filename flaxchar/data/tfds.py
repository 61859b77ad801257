"""Texts from TensorFlow Datasets, prepared and read without TensorFlow."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import re
import sys
import threading
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from flaxchar.config import InputError
from flaxchar.data.examples import Chunk

AG_NEWS = "ag_news_subset"
# Seconds within which a host must answer before a download is tried: TFDS itself would retry for minutes.
REACH_SECONDS = 3.0
_CHUNK = 10_000


class Unreachable(InputError):
    """The data set is not prepared on this machine and cannot be downloaded."""


def load_tfds(
    name: str,
    fields: Sequence[str] = (),
    data_dir: str | None = None,
    label_field: str | None = None,
    source_field: str | None = None,
) -> tuple[Iterator[Chunk], Iterator[Chunk] | None]:
    """Read the examples of a TFDS data set: its ``train`` split and, if it has one, its ``test`` split.

    The data set is prepared on first use: downloaded, and written as ArrayRecord files under ``data_dir``.

    Args:
      name: TFDS's name of the data set, also as ``name/config:version``.
      fields: text features; several are joined by one space. They can be omitted for a data set with a single text
        feature, and for AG News, whose default is the title.
      data_dir: TFDS's folder of data sets; None for its default.
      label_field: the feature that holds the label of each text.
      source_field: the feature that holds the source of each text.

    Returns:
      The chunks to train on, and the chunks to hold out, or None without a ``test`` split. Iteration reads them.

    Raises:
      Unreachable: the data set is not prepared, and its host does not answer within ``REACH_SECONDS`` or the download
        fails.
      InputError: there is no such data set, ``train`` split or feature, or the download is not what TFDS expects.
    """
    # Imported here, because files and the embedded corpus do not need it.
    import tensorflow_datasets as tfds

    logging.getLogger("absl").setLevel(logging.ERROR)
    try:
        builder = tfds.builder(name, data_dir=data_dir, file_format="array_record")
    except (tfds.core.registered.DatasetNotFoundError, ValueError) as error:
        reason = str(error).split("\n")[0].rstrip(".")
        raise InputError(
            f'the data set {name}: {reason}; `dataset="headlines"` comes with flaxchar, `data` reads files'
        ) from error
    chosen = _text_features(builder, name, fields)
    if not builder.is_prepared():
        _prepare(builder, name)
    splits = builder.info.splits
    if "train" not in splits:
        raise InputError(f"the data set {name} has no split named train; it has {', '.join(splits)}")
    for field in (label_field, source_field):
        if field is not None and field not in builder.info.features:
            raise InputError(f"the data set {name} has no feature {field!r}; it has {', '.join(builder.info.features)}")
    columns = (chosen, label_field, source_field)
    held_out = _read(builder, "test", *columns) if "test" in splits else None
    return _read(builder, "train", *columns), held_out


def _text_features(builder: Any, name: str, fields: Sequence[str]) -> Sequence[str]:
    import tensorflow_datasets as tfds

    features = builder.info.features
    named = hasattr(features, "keys")  # a data set may be a single feature without a name
    texts = sorted(key for key in features if isinstance(features[key], tfds.features.Text)) if named else []
    if not fields:
        fields = ("title",) if builder.name == AG_NEWS else tuple(texts)
        if len(fields) != 1:
            raise InputError(
                f"the data set {name} has several texts: say with `fields` which to read: {', '.join(texts)}"
            )
    for field in fields:
        if field not in texts:
            raise InputError(f"the data set {name} has no text feature {field!r}; it has {', '.join(texts) or 'none'}")
    return fields


def _prepare(builder: Any, name: str) -> None:
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError
    from tensorflow_datasets.core.download.extractor import ExtractError
    from tensorflow_datasets.core.download.util import DownloadError

    root = Path(str(builder.data_dir_root))
    manual = root / "downloads" / "manual"
    urls = builder.url_infos or {}
    archives = [info.filename for info in urls.values() if info.filename]
    ways = (
        f"prepare it on a machine that has a connection and copy its folder to {root / builder.name}"
        + (f", or put {' and '.join(archives[:3])} in {manual}" if archives else "")
        + (', or read the CSV file itself with `data="train.csv"` and `fields="2"`' if builder.name == AG_NEWS else "")
    )
    # TFDS puts a .INFO file that names the URL beside each file it has downloaded.
    notes = [path.read_text(encoding="utf-8") for path in (root / "downloads").rglob("*.INFO")]
    waiting = [
        url
        for url, info in urls.items()
        if not (info.filename and (manual / info.filename).exists()) and not any(url in note for note in notes)
    ]
    if waiting and not _reachable(waiting[0]):
        raise Unreachable(
            f"the data set {name} is not prepared in {root} and {_host(waiting[0])} does not answer: {ways}"
        )
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    try:
        with _extractor_without_tensorflow():
            builder.download_and_prepare(file_format="array_record", download_config=tfds.download.DownloadConfig())
    except NonMatchingChecksumError as error:
        raise InputError(f"the data set {name}: {_describe_download(str(error))}; {ways}") from error
    except ExtractError as error:
        raise InputError(
            f"the data set {name}: its archive cannot be unpacked ({error.__cause__ or error}): {ways}"
        ) from error
    except (DownloadError, OSError) as error:  # requests' errors are OSErrors
        reason = str(error).split("\n")[0][:200]
        raise Unreachable(f"the data set {name} could not be downloaded ({reason}): {ways}") from error


@contextlib.contextmanager
def _extractor_without_tensorflow() -> Iterator[None]:
    """Let TFDS unpack archives without TensorFlow: Python's functions replace the two that the extractor needs."""
    from tensorflow_datasets.core.download import extractor

    if importlib.util.find_spec("tensorflow") is not None:
        yield
        return
    files = types.SimpleNamespace(gfile=types.SimpleNamespace(GFile=open))
    theirs = extractor.tf
    extractor.tf = types.SimpleNamespace(io=files, compat=types.SimpleNamespace(as_text=os.fsdecode))
    try:
        yield
    finally:
        extractor.tf = theirs


def _describe_download(message: str) -> str:
    """Say what TFDS downloaded instead of the archive: a web page or a damaged file. ``message`` is TFDS's error."""
    match = re.search(r"downloaded to (.*), has wrong checksum", message)
    path = Path(match.group(1)) if match else None
    if path is None or not path.is_file():
        return "the archive has a wrong checksum"
    with path.open("rb") as file:
        start = file.read(1 << 16).lower()
    if b"<html" not in start:
        return (
            f"the archive {path} has a wrong checksum (it is damaged, or not the version TFDS knows); remove it first"
        )
    if b"quota" in start or b"too many users" in start:
        return "Google Drive answered with its quota page (too many downloads today), not the archive; try tomorrow"
    return "the download answered with a web page instead of the archive"


def _reachable(url: str) -> bool:
    """Whether a URL's host answers a single request within ``REACH_SECONDS``."""
    import requests

    answered = threading.Event()

    def ask() -> None:
        try:
            requests.head(url, timeout=REACH_SECONDS)
            answered.set()
        except requests.RequestException:
            logging.getLogger(__name__).debug("%s does not answer", url, exc_info=True)

    # In a thread, because the DNS look-up has no time-out of its own.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(REACH_SECONDS)
    return answered.is_set()


def _host(url: str) -> str:
    return url.split("/")[2]


def _read(
    builder: Any, split: str, fields: Sequence[str], label_field: str | None, source_field: str | None
) -> Iterator[Chunk]:
    rows = builder.as_data_source(split)
    for start in range(0, len(rows), _CHUNK):
        records = rows.__getitems__(range(start, min(start + _CHUNK, len(rows))))
        texts = [" ".join(_text(record[field]) for field in fields) for record in records]
        yield Chunk(texts, _column(builder, records, label_field), _column(builder, records, source_field))


def _column(builder: Any, records: Sequence[Any], field: str | None) -> list[str] | None:
    if field is None:
        return None
    name_of = getattr(builder.info.features[field], "int2str", _text)
    return [name_of(record[field]) for record in records]


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
