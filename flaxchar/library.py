"""The library's functions: train a language model on texts, load one, and import one of another program."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flaxchar.config import Config, InputError
from flaxchar.data.cache import encode_corpus, load_encoded
from flaxchar.data.corpus import make_corpus, telling
from flaxchar.data.examples import Example
from flaxchar.data.from_python import examples_from, file_settings
from flaxchar.data.readers.reading import Findings, ReadOptions
from flaxchar.data.starts import settle_beginning
from flaxchar.data.vocabulary import Vocabulary
from flaxchar.generation.arguments import check, check_path
from flaxchar.kernels.forks import check_process
from flaxchar.language_model import LanguageModel
from flaxchar.presets import PRESETS, SIZED_PRESETS, resolve
from flaxchar.training.devices import make_layout
from flaxchar.training.initial import known_tokens, with_network
from flaxchar.training.run_directory import Run
from flaxchar.training.saved_model import load_model
from flaxchar.training.session import train_corpus
from flaxchar.validation import shown

# Settings that say how files are read; they have no place where ``train`` is given the texts themselves.
_FILE_SETTINGS = ("dataset", "data", "data_dir", "val_data", *({*ReadOptions._fields} - {"running"}))


def load(path: str | Path) -> LanguageModel:
    """Load the best model of a run directory.

    Raises:
      InputError: there is no run, no checkpoint in it yet, or it is damaged.
      RuntimeError: this process was forked from one that had used JAX.
    """
    check_process()
    check_path("path", path)
    run = Run.open(Path(path))
    try:
        trained = load_model(run)
    finally:
        run.close()
    return LanguageModel(trained.params, trained.vocabulary, trained.config)


def import_model(
    file: str | Path, *, vocabulary: str | Path | Vocabulary | None = None, bos: bool | None = None
) -> LanguageModel:
    """Read a model that Keras or PyTorch trained; ``save`` makes a run directory of it.

    Args:
      file: ``.weights.h5`` or ``.keras`` of Keras 3, or a PyTorch ``state_dict`` in ``.safetensors``. The model is an
        embedding or one-hot input, LSTM, GRU or simple RNN layers, and a dense layer to logits.
      vocabulary: what the ids mean: a ``Vocabulary``, or a JSON file with the characters in the order of their ids from
        1. Id 0 pads, and the last id is ``<eos>``. None for a file that flaxchar exported to safetensors.
      bos: whether the model was trained with ``<eos>`` before each text; None for what the file says, else False.

    Raises:
      InputError: the file is damaged, holds another model, or does not fit the vocabulary; or the extra ``export`` is
        not installed.
      RuntimeError: this process was forked from one that had used JAX.

    Example::

        lm = flaxchar.import_model("notebook.weights.h5", vocabulary="characters.json")
        lm.save("runs/notebook")
    """
    check_process()
    check_path("file", file)
    if isinstance(vocabulary, str | Path):
        check_path("vocabulary", vocabulary)
        vocabulary = Path(vocabulary)
    elif vocabulary is not None and not isinstance(vocabulary, Vocabulary):
        raise InputError(f"`vocabulary` is {shown(vocabulary)}; it must be a file or a flaxchar.Vocabulary")
    from flaxchar.export.importing import read_model

    trained = read_model(Path(file), vocabulary, bos)
    return LanguageModel(trained.params, trained.vocabulary, trained.config)


def train(
    texts: Iterable[str | Example | Path] | Path | None = None,
    *,
    labels: Iterable[str] | None = None,
    sources: Iterable[str] | None = None,
    held_out: Iterable[str | Example | Path] | Path | None = None,
    workdir: str | Path | None = None,
    preset: str | None = None,
    config: Config | None = None,
    devices: int | None = None,
    fresh: bool = False,
    **settings: Any,
) -> LanguageModel:
    """Train a model on texts.

    Args:
      texts: strings, ``Example`` records, ``(text, label)`` pairs, or a column of a pandas or pyarrow table; or a
        ``pathlib.Path`` or several, to read files as the command does. None with ``data="texts.txt"`` among the
        settings, which is the same.
      labels: the label of each text: the model then writes text for a label, or with ``head="classifier"`` learns to
        name it. Numbers and truth values become text as Python prints them; a text whose label is None is left out.
      sources: the source of each text: the model then writes a text from a source.
      held_out: texts to evaluate on, as ``texts``; None to hold out a share ``val_fraction`` of ``texts``.
      workdir: keep the run in this folder; None to keep nothing. A run that is in it is continued with its own
        settings. A complete one is trained further if ``steps`` or ``epochs`` is more than it has taken, or by another
        ``time_budget``.
      preset: ``"default"``, ``"fast"``, ``"best"``, ``"classifier"`` or ``"reference"``.
      config: all settings to begin with, instead of a preset.
      devices: how many devices to train on; None for all.
      fresh: begin a new run in ``workdir``; a run that is there is renamed, never deleted.
      **settings: changes to preset or config, by the name of the setting: ``steps=500``, ``hidden=256``,
        ``time_budget="5m"``, ``init_from="runs/a"``. Settings about files, such as ``fields``, need files.

    Returns:
      The model with the fewest held-out bits per character, or the last one where nothing is held out.

    Raises:
      InputError: a setting or a text cannot be used.
      TrainingDiverged: loss or gradient exploded, also at lower learning rates; the message says what to try.
      TypeError: there is no setting of that name.
      RuntimeError: this process was forked from one that had used JAX.

    Example::

        lm = flaxchar.train(["up 3 %", "down 2 %"] * 50, labels=["good", "bad"] * 50, steps=200)
        lm.generate(label="good")
    """
    check_process()
    if workdir is not None:
        check_path("workdir", workdir)
    check("fresh", fresh, bool)
    if devices is not None:
        check("devices", devices, int, least=1)
    if config is not None and not isinstance(config, Config):
        raise InputError(
            f"`config` is {shown(config)}; it must be a Config, such as flaxchar.Config().replace(hidden=64)"
        )
    if settings.get("init_from") is not None:
        check_path("init_from", settings["init_from"])
        settings["init_from"] = str(settings["init_from"])
    files = file_settings(texts, labels, sources, held_out, settings)
    if files is None and (misplaced := [name for name in _FILE_SETTINGS if name in settings]):
        raise InputError(f"`{misplaced[0]}` says how files are read; `train` is given the texts themselves")
    settings = settings if files is None else files
    if preset is not None and config is not None:
        raise InputError("`preset` and `config` both say which settings to begin with; give one of them")
    if preset is not None and preset not in (*PRESETS, *SIZED_PRESETS):
        raise InputError(f"`preset` is {shown(preset)}; it must be one of {', '.join((*SIZED_PRESETS, *PRESETS))}")

    path = None if workdir is None else Path(workdir)
    run = Run.open(path) if path is not None and Run.exists(path) and not fresh else None
    if run is not None and preset is None and config is None:
        config = run.config  # as on the command line, a run goes on with its own settings
    settings = with_network(settings, run)
    settled = resolve(settings, preset, config)
    settled.validate(from_python=files is None)
    like, known = None if run is None else run.vocabulary, known_tokens(settled, run)
    if files is None:
        findings = Findings()
        with telling(findings):
            corpus = make_corpus(
                examples_from(texts, labels, sources, findings=findings),  # type: ignore[arg-type]
                None if held_out is None else examples_from(held_out, name="held_out"),  # type: ignore[arg-type]
                settled.data,
                settled.training.seed,
                classify=settled.model.head == "classifier",
            )
        notices = (*(f"{sentence}." for sentence in findings.sentences()), *corpus.notices)
        corpus = dataclasses.replace(corpus, notices=notices)
        data = settled.data
        if corpus.labels or corpus.train.sources is not None:
            data = dataclasses.replace(data, bos=False)  # a label or a source begins each text, not <eos>
        encoded = encode_corpus(corpus, data, like=like, known=known)
        data = settle_beginning(data, encoded.record["begin_at"])
    else:
        encoded, settled = load_encoded(settled, like, known)
        data = settled.data
    facts = encoded.facts(data)
    settled = resolve(settings, preset, config, facts)
    settled.validate(from_python=files is None)
    layout = make_layout(settled.training, devices)
    trained = train_corpus(encoded, settled, path, fresh=fresh, layout=layout)
    return LanguageModel(trained.params, trained.vocabulary, trained.config)
