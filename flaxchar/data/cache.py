"""Encoded corpora: a corpus as ids, ready to train on; that of large files is kept for the next start."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from flaxchar.config import Config, InputError
from flaxchar.data import readers
from flaxchar.data.corpus import Corpus, load_corpus, settle
from flaxchar.data.encoded import EncodedTexts
from flaxchar.data.readers.reading import ReadOptions, is_read_once
from flaxchar.data.starts import settle_beginning, where_texts_begin
from flaxchar.data.texts import LARGE
from flaxchar.data.union import with_tokens
from flaxchar.data.unknown import NONE_UNKNOWN, UnknownTokens, find_unknown
from flaxchar.data.vocabulary import Vocabulary
from flaxchar.hardware import this_hardware
from flaxchar.presets import CorpusFacts
from flaxchar.settings import DEFAULT_WORD_VOCABULARY, DataConfig
from flaxchar.storage import cache_folder, content_key, own_cache_folder, replaced_folder

# Part of the key of a kept corpus: raised when the same files would be encoded differently than before.
_FORMAT = 9
# The files beside corpus.json, which holds their hashes.
_IDS = ("train", "train_offsets.npy", "held_out.npy", "held_out_offsets.npy")
# The unknown ones among so many training tokens, from the beginning, are kept: for the baselines, and to estimate what
# their spelling costs.
_MOST_TOKENS = 1_000_000
# Bytes of a file that a thread hashes, and that it reads at once.
_PART, _BLOCK = 1 << 26, 1 << 20


@dataclasses.dataclass(frozen=True)
class EncodedCorpus:
    """A corpus as training needs it.

    Attributes:
      vocabulary: the vocabulary of the texts to learn.
      train: the texts to learn.
      held_out: the texts to judge by, none of them empty, possibly none.
      train_characters: how many characters a model predicts of ``train``, counting each ``<eos>`` as one.
      held_out_characters: how many it predicts of ``held_out``.
      missing: tokens that occur in the held-out texts alone and were left out there, and how often each occurred, the
        most frequent first.
      record: what is kept of the texts in a run: their name, number, hash, entropy (``floor``, or None), where running
        text begins (``begin_at``, or None), and the ``known`` tokens that the vocabulary holds beside theirs.
      report: lines about the texts, for people.
      train_unknown: the unknown tokens among the first million tokens of ``train``.
      held_out_unknown: the unknown tokens of ``held_out``.
    """

    vocabulary: Vocabulary
    train: EncodedTexts
    held_out: EncodedTexts
    train_characters: int
    held_out_characters: int
    missing: dict[str, int]
    record: dict[str, Any]
    report: tuple[str, ...]
    train_unknown: UnknownTokens = NONE_UNKNOWN
    held_out_unknown: UnknownTokens = NONE_UNKNOWN

    @property
    def floor(self) -> float | None:
        """The entropy of the texts in bits per character, which no model can beat; None where it is unknown."""
        return self.record["floor"]

    def facts(self, data: DataConfig) -> CorpusFacts:
        """The facts that a preset depends on; ``data`` are the settings of these texts."""
        packable = self.train.source_end is None and self.train.ends
        return CorpusFacts(data, self.train_characters, self.train.mean_length, packable, this_hardware())

    def characters_per_token(self, data: DataConfig) -> float:
        """Mean number of characters that a training target stands for."""
        texts = self.train
        targets = len(texts.ids) + len(texts) - (0 if data.bos else 1 if data.running else len(texts))
        return self.train_characters / targets if texts.ends else 1.0


def encode_corpus(
    corpus: Corpus,
    data: DataConfig,
    folder: Path | None = None,
    like: Vocabulary | None = None,
    known: Sequence[str] = (),
) -> EncodedCorpus:
    """Build the vocabulary of a corpus and encode its examples.

    Args:
      corpus: the examples.
      data: the settings.
      folder: an empty folder to keep the ids in; None to keep them no longer than the process.
      like: the vocabulary of a run that goes on, as ``Vocabulary.build``.
      known: tokens that the vocabulary holds even if the texts do not: those of the run that gives the first weights.
    """
    limit = DEFAULT_WORD_VOCABULARY if data.unit == "word" and data.max_vocab is None else data.max_vocab
    own = Vocabulary.build(corpus.train, data.unit, limit, corpus.classify, like)
    vocabulary = with_tokens(own, known, limit)
    bos, running = data.bos and corpus.train.plain, data.running
    train, _ = vocabulary.encode_examples(corpus.train, None if folder is None else folder / "train")
    examples = corpus.held_out
    held_out, missing = vocabulary.encode_examples(examples)
    if (held_out.lengths == 0).any():  # texts of nothing but what the vocabulary does not hold
        examples, _ = examples.partition(held_out.lengths == 0)
        held_out, missing = vocabulary.encode_examples(examples)
    predicted = vocabulary.predicted_characters(examples, bos, running)
    if not vocabulary.classifies:  # what is left out of a text is not predicted; sources are not predicted anyway
        left_out = missing if examples.sources is None else vocabulary.encode_texts(examples.texts)[1]
        predicted -= sum(len(token) * count for token, count in left_out.items())
    return EncodedCorpus(
        vocabulary,
        train,
        held_out,
        vocabulary.predicted_characters(corpus.train, bos, running, sources=True),
        predicted,
        dict(missing.most_common()),
        {
            "name": corpus.name,
            "learned": len(corpus.train),
            "held_out": len(corpus.held_out),
            "sha256": corpus.fingerprint(),
            "floor": corpus.floor,
            "begin_at": where_texts_begin(corpus.train.texts) if running else None,
            "known": list(known),
        },
        tuple(corpus.report()),
        find_unknown(vocabulary, corpus.train.texts, bos, running, _MOST_TOKENS)[0],
        find_unknown(vocabulary, examples.texts, bos, running)[0],
    )


def load_encoded(
    config: Config, like: Vocabulary | None = None, known: Sequence[str] = ()
) -> tuple[EncodedCorpus, Config]:
    """Load the corpus that a configuration names, from the cache where it is kept there.

    Files of more than 64 MB together are encoded once and kept in the user's cache folder, by their content.

    Args:
      config: the settings.
      like: the vocabulary of a run that goes on, as ``Vocabulary.build``.
      known: as for ``encode_corpus``.

    Returns:
      The corpus, and the configuration with ``dataset``, ``window`` and ``begin_at`` filled in where they were left
      open.

    Raises:
      InputError: the texts cannot be had, or there is no room for them; the message says why and what to do.
    """
    config, notice = settle(config)
    notices = () if notice is None else (notice,)
    folder, versions = _folder(config, like, known)
    if folder is not None and (kept := _open(folder)) is not None:
        report = (*kept.report, *notices, f"encoded before; the ids are in {folder}")
        return dataclasses.replace(kept, report=report), _with_beginning(config, kept)
    try:
        corpus, config = load_corpus(config)
        try:
            with contextlib.ExitStack() as stack:
                new = None if folder is None else _new_folder(folder, stack)
                encoded = encode_corpus(corpus, config.data, new, like, known)
                if new is not None:
                    if _versions(_files(config.data)) != versions:
                        raise _Changed
                    _write(encoded, new)
                    notices = (*notices, f"the ids are kept in {folder}")
        except _Changed:  # the folder is gone; what is mapped of it stays valid
            notices = (*notices, "the files changed while they were read, so the ids are not kept")
        report = (*encoded.report, *notices)
        return dataclasses.replace(encoded, report=report), _with_beginning(config, encoded)
    except OSError as error:
        where = error.filename or cache_folder()
        raise InputError(
            f"the texts cannot be encoded: {error.strerror} ({where}); make room, or let XDG_CACHE_HOME name a folder "
            "that has some"
        ) from error


class _Changed(Exception):
    """Files are no longer those by whose content a corpus would be kept."""


def _files(data: DataConfig) -> dict[str, list[str]]:
    """The names of all files of a corpus, by the setting that names them."""
    options = ReadOptions.of(data)
    return {"data": readers.expand(data.data, options), "val_data": readers.expand(data.val_data, options)}


def _versions(files: dict[str, list[str]]) -> list[tuple[str, int, int]]:
    """Name, size and time of change of each file that there is; they tell whether one was written to since."""
    names = files["data"] + files["val_data"]
    return [(name, (status := os.stat(name)).st_size, status.st_mtime_ns) for name in names if os.path.exists(name)]


def _with_beginning(config: Config, corpus: EncodedCorpus) -> Config:
    return dataclasses.replace(config, data=settle_beginning(config.data, corpus.record["begin_at"]))


def _folder(
    config: Config, like: Vocabulary | None, known: Sequence[str]
) -> tuple[Path | None, list[tuple[str, int, int]]]:
    """The folder for the corpus of a configuration, named by the content of its files; None where it is too small.

    Returns:
      The folder, and the ``_versions`` of the files before they were hashed.
    """
    data = config.data
    if not data.data:
        return None, []
    files = _files(data)
    versions = _versions(files)
    if any(map(is_read_once, files["data"] + files["val_data"])) or sum(size for _, size, _ in versions) < LARGE:
        return None, versions
    settings = {
        **dataclasses.asdict(data),
        "window": data.running,
        "seed": config.training.seed,
        "head": config.model.head,
        "known": list(known),
        "begin_at": None,  # it changes nothing in the ids
    }
    if like is not None and like.has_unknown and like.spelling is None:
        settings["spelled"] = False  # the texts as a run of an older version encoded them
    settings |= {name: list(map(_content, paths)) for name, paths in files.items()}
    corpora = own_cache_folder("corpora")
    key = content_key(json.dumps([_FORMAT, settings], allow_nan=False))
    return None if corpora is None else corpora / key, versions


def _content(path: str) -> str:
    try:
        return _digest(Path(path)) + "".join(Path(path).suffixes[-2:])  # the ending says how a file is read
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def _new_folder(folder: Path, stack: contextlib.ExitStack) -> Path | None:
    """A folder that takes the place of ``folder`` when the stack is closed; None where none can be made."""
    try:
        return stack.enter_context(replaced_folder(folder))
    except OSError:
        return None


def _write(corpus: EncodedCorpus, folder: Path) -> None:
    """Write everything but the ids of ``train``, which are in the folder already."""
    np.save(folder / "train_offsets.npy", corpus.train.offsets)
    np.save(folder / "held_out.npy", corpus.held_out.ids)
    np.save(folder / "held_out_offsets.npy", corpus.held_out.offsets)
    described = {
        "vocabulary": corpus.vocabulary.to_dict(),
        "kind": corpus.train.ids.dtype.str,
        "train_characters": corpus.train_characters,
        "held_out_characters": corpus.held_out_characters,
        "missing": corpus.missing,
        "record": corpus.record,
        "report": corpus.report,
        "unknown": [corpus.train_unknown, corpus.held_out_unknown],
        "sha256": {name: _digest(folder / name) for name in _IDS},
    }
    # ASCII, with escapes: half of a surrogate pair has no other form.
    written = json.dumps(described, allow_nan=False).encode("ascii")
    (folder / "corpus.json").write_bytes(b"%08x\n" % zlib.crc32(written) + written)


def _digest(path: Path) -> str:
    """Hash a file: the SHA-256 of the SHA-256 of its parts, which several threads read.

    Where the processor has instructions for SHA-256, it is as fast as CRC-32.
    """
    starts = range(0, max(1, path.stat().st_size), _PART)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        digests = pool.map(lambda start: _part_digest(path, start, start == starts[-1]), starts)
        return hashlib.sha256(b"".join(digests)).hexdigest()


def _part_digest(path: Path, start: int, is_last: bool) -> bytes:
    """SHA-256 of a part of a file; the last part goes to the file's end, wherever that is by now."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        while block := file.read(_BLOCK if is_last else min(_BLOCK, start + _PART - file.tell())):
            digest.update(block)
    return digest.digest()


def _open(folder: Path) -> EncodedCorpus | None:
    """Read what ``_write`` wrote; None where there is nothing, or it is damaged."""
    try:
        checksum, _, written = (folder / "corpus.json").read_bytes().partition(b"\n")
        if checksum != b"%08x" % zlib.crc32(written):
            return None
        described = json.loads(written)
        if any(_digest(folder / name) != described["sha256"][name] for name in _IDS):
            return None
        offsets = np.load(folder / "train_offsets.npy", mmap_mode="r")
        ids = np.memmap(folder / "train", described["kind"], "r")
        vocabulary = Vocabulary.from_dict(described["vocabulary"])
        held_out = np.load(folder / "held_out.npy"), np.load(folder / "held_out_offsets.npy")
        if len(ids) != offsets[-1]:
            return None
    except (OSError, ValueError, KeyError):
        return None
    return EncodedCorpus(
        vocabulary,
        vocabulary.texts(ids, offsets),
        vocabulary.texts(*held_out),
        described["train_characters"],
        described["held_out_characters"],
        described["missing"],
        described["record"],
        tuple(described["report"]),
        *(UnknownTokens(tuple(tokens), *sums) for tokens, *sums in described["unknown"]),
    )
