"""A corpus as ids, ready to train on; that of large files is kept for the next start."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from flaxchar.config import DEFAULT_WORD_VOCABULARY, Config, DataConfig, InputError
from flaxchar.data.corpus import Corpus, load_corpus, settle
from flaxchar.data.files import STDIN, expand
from flaxchar.data.texts import LARGE, Texts
from flaxchar.data.vocabulary import EncodedTexts, Vocabulary
from flaxchar.presets import make_preset

# Part of what a kept corpus is found by: raised when the same files would be encoded otherwise than before.
_FORMAT = 3


@dataclasses.dataclass(frozen=True)
class EncodedCorpus:
    """What training needs to know of a corpus.

    Attributes:
      vocabulary: of the texts to learn.
      train: the texts to learn.
      held_out: the texts to judge by, none of them empty, possibly none.
      train_characters: how many characters a model predicts of ``train``, ``<eos>`` counted as one each.
      held_out_characters: likewise.
      missing: what occurs in the held-out texts alone and was left out there, and how often, the most frequent first.
      record: what identifies the texts: name, how many, their hash, and bits per character that no model can beat.
      report: what they are, lines for people.
    """

    vocabulary: Vocabulary
    train: EncodedTexts
    held_out: EncodedTexts
    train_characters: int
    held_out_characters: int
    missing: dict[str, int]
    record: dict[str, Any]
    report: tuple[str, ...]

    @property
    def floor(self) -> float | None:
        """Bits per character that no model can beat, where that is known."""
        return self.record["floor"]

    def preset(self, name: str, running: bool) -> Config:
        """The settings of a preset for such texts, ``running`` or each by itself."""
        return make_preset(name, self.train_characters, running, self.train.mean_length)


def encode_corpus(corpus: Corpus, data: DataConfig, folder: Path | None = None) -> EncodedCorpus:
    """The vocabulary of a corpus, and its texts as ids.

    Args:
      corpus: the texts.
      data: the settings.
      folder: where to keep the ids, an empty one; None to keep them no longer than the process.
    """
    limit = DEFAULT_WORD_VOCABULARY if data.unit == "word" and data.max_vocab is None else data.max_vocab
    vocabulary = Vocabulary.build(corpus.train, data.unit, limit, corpus.labels)
    running = data.running
    train, _ = vocabulary.encode_texts(corpus.train, None if folder is None else folder / "train")
    texts = corpus.held_out
    held_out, missing = vocabulary.encode_texts(texts)
    if (held_out.lengths == 0).any():  # of nothing but what the vocabulary does not hold
        texts = Texts.of(text for text, length in zip(texts, held_out.lengths, strict=True) if length)
        held_out, missing = vocabulary.encode_texts(texts)
    dropped = sum(len(token) * count for token, count in missing.items())
    return EncodedCorpus(
        vocabulary,
        train,
        held_out,
        vocabulary.predicted_characters(corpus.train, data.bos, running, sources=True),
        vocabulary.predicted_characters(texts, data.bos, running) - dropped,
        dict(missing.most_common()),
        {
            "name": corpus.name,
            "learned": len(corpus.train),
            "held_out": len(corpus.held_out),
            "sha256": corpus.fingerprint(),
            "floor": corpus.floor,
        },
        tuple(corpus.report()),
    )


def load_encoded(config: Config) -> tuple[EncodedCorpus, Config]:
    """The corpus a configuration names, from where it was kept if that is so.

    Files of more than 64 MB together are encoded once and kept in the user's cache directory, by their content.

    Returns:
      The corpus, and the configuration with ``dataset`` and ``window`` filled in where they were left open.

    Raises:
      InputError: the texts cannot be had, or there is no room for them; the message says why and what to do.
    """
    config, notice = settle(config)
    notices = () if notice is None else (notice,)
    folder = _folder(config)
    if folder is not None and (kept := _open(folder)) is not None:
        return dataclasses.replace(
            kept, report=(*kept.report, *notices, f"encoded before; the ids are in {folder}")
        ), config
    try:
        corpus, config = load_corpus(config)
        new = None if folder is None else _new_folder(folder)
        if folder is None or new is None:
            encoded = encode_corpus(corpus, config.data)
            return dataclasses.replace(encoded, report=(*encoded.report, *notices)), config
        try:
            encoded = encode_corpus(corpus, config.data, new)
            _write(encoded, new)
            if folder.exists():  # damaged, or somebody else was faster; a map of it stays good without its name
                folder.rename(new.with_suffix(".old"))
            new.rename(folder)  # whole or not at all, whoever else encodes it
        finally:
            shutil.rmtree(new.with_suffix(".old"), ignore_errors=True)
            shutil.rmtree(new, ignore_errors=True)
        return dataclasses.replace(encoded, report=(*encoded.report, *notices, f"the ids are kept in {folder}")), config
    except OSError as error:
        where = error.filename or platformdirs.user_cache_path("flaxchar")
        raise InputError(
            f"the texts cannot be encoded: {error.strerror} ({where}); make room, or let XDG_CACHE_HOME name a folder "
            "that has some"
        ) from error


def _folder(config: Config) -> Path | None:
    """Where the corpus of a configuration is kept, if it is large enough for that: by the content of its files."""
    data = config.data
    names = expand(data.data) + expand(data.val_data)
    if (
        not data.data
        or STDIN in names
        or sum(Path(name).stat().st_size for name in names if Path(name).exists()) < LARGE
    ):
        return None
    settings = {
        **dataclasses.asdict(data),
        "window": data.running,
        "seed": config.training.seed,
        "head": config.model.head,
    }
    settings |= {name: [_content(path) for path in expand(settings[name])] for name in ("data", "val_data")}
    key = hashlib.sha256(json.dumps([_FORMAT, settings]).encode()).hexdigest()
    return platformdirs.user_cache_path("flaxchar") / "corpora" / key[:32]


def _content(path: str) -> str:
    try:
        with open(path, "rb") as file:
            # The ending says how a file is read.
            return hashlib.file_digest(file, "sha256").hexdigest() + "".join(Path(path).suffixes[-2:])
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def _new_folder(folder: Path) -> Path | None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=folder.parent))
    except OSError:
        return None  # nowhere to keep it


def _write(corpus: EncodedCorpus, folder: Path) -> None:
    """Put beside the ids of ``train``, which are there, everything else."""
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
    }
    # Every character as an escape: half of a surrogate pair has no other form.
    (folder / "corpus.json").write_text(json.dumps(described), encoding="ascii")


def _open(folder: Path) -> EncodedCorpus | None:
    """What ``_write`` wrote; None where there is nothing, or it is damaged."""
    try:
        described = json.loads((folder / "corpus.json").read_text(encoding="ascii"))
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
    )
