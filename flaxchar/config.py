"""The settings of a run: frozen dataclasses that the flags, the saved ``config.json`` and the library all share."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Annotated, Any, Literal, get_args, get_type_hints

import tyro

Unit = Literal["char", "word"]
Cell = Literal["lstm", "gru", "rnn", "mingru", "minlstm"]
Optimizer = Literal["adam", "adamw", "lion", "muon", "rmsprop", "sgd"]
Schedule = Literal["constant", "cosine"]
Head = Literal["language", "classifier"]

DEFAULT_TIME_BUDGET = "2m"
# The settings that say how long to train, of which a run has one at most.
LENGTHS = ("epochs", "steps", "time_budget")
DEFAULT_WORD_VOCABULARY = 10_000
DEFAULT_WINDOW = 256


class InputError(ValueError):
    """What the user gave cannot be used; the message says what is wrong, where, and what to do."""


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Where the texts come from and how they become ids."""

    dataset: str | None = None
    """A TFDS data set, or headlines, which comes with flaxchar; left open: AG News if it can be had, else headlines."""
    data: tuple[str, ...] = ()
    """Your files: .txt (a text a line), .csv, .tsv, .jsonl, also .gz; a folder of them; or - for standard input."""
    fields: Annotated[tuple[str, ...], tyro.conf.arg(aliases=("--target-field",))] = ()
    """What holds the text: columns by name, or by number from 1 where there is no header; several are joined."""
    label_field: str | None = None
    """What names the class of each text: a column, a JSON key, a TFDS feature; the model then writes for a class."""
    source_field: str | None = None
    """What each text is written from: a column, a JSON key, a TFDS feature that is read, never predicted, before it."""
    data_dir: str | None = None
    """The folder of TFDS' data sets; else the environment's TFDS_DATA_DIR, else ~/tensorflow_datasets."""
    encoding: str = "utf-8"
    """The encoding of the files."""
    val_data: tuple[str, ...] = ()
    """Files to hold out, read like --data."""
    val_fraction: float | None = None
    """The share of the texts that is held out; left open: a twentieth, but no more than 200,000 characters."""
    max_length: int = 1000
    """Texts of more characters than this are left out (and counted)."""
    unescape_html: bool = False
    """Decode HTML's character references, whole (&lt; &#39;) and with their ampersand lost ( #39;)."""
    unit: Unit = "char"
    """What the model reads and writes one at a time."""
    max_vocab: int | None = None
    """Keep this many characters or words, the others become one unknown token; for words 10,000 if left open."""
    bos: bool = True
    """Feed <eos> before each text, so that its first character is learned too."""
    window: int | None = None
    """Read running text, this many characters at a time, the state carried along; 0: each line is a text; left open:
    whichever the look of a text file suggests."""

    @property
    def running(self) -> bool:
        """Whether it is running text, and not texts by themselves."""
        return bool(self.window)


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The network."""

    head: Head = "language"
    """What it predicts: of each character the next, or, of a whole text, the class that --label-field names."""
    cell: Cell = "lstm"
    """The recurrent cell."""
    layers: int = 1
    """Recurrent layers, one on top of the other."""
    hidden: int = 128
    """Units of each layer."""
    embedding: int = 0
    """Numbers in the vector that stands for each character; 0: characters act on the gates directly."""
    input_dropout: float = 0.0
    """The share of these numbers that is dropped in training."""
    dropout: float = 0.2
    """The share of each recurrent layer's outputs that is dropped in training."""
    recurrent_dropout: float = 0.0
    """The share of each layer's state that is not fed back in training, the same units throughout a text."""
    residual: bool = False
    """Add what each layer after the first reads to what it gives."""
    layer_norm: bool = False
    """Normalise what each layer after the first, and the last of all, reads."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """What matrix products are computed in; parameters and recurrent state are float32 in any case."""
    input_init: Literal["unit", "glorot"] = "unit"
    """How what a character brings to the gates starts: with standard deviation 1, or by Glorot's rule as in Keras."""


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How the network is trained."""

    optimizer: Optimizer = "muon"
    """The optimiser, from Optax; muon for the matrices of the layers goes with Adam for the rest."""
    learning_rate: float = 0.02
    """The highest learning rate."""
    schedule: Schedule = "cosine"
    """What the learning rate does after the warm-up."""
    warmup_steps: int = 50
    """Steps in which the learning rate rises from 0."""
    clip_norm: float | None = 0.25
    """Gradients of a larger norm than this are scaled down to it."""
    weight_decay: float = 0.1
    """How strongly adamw, lion and muon pull matrices towards 0."""
    ema: float | None = None
    """Evaluate, keep and write with weights averaged over the steps, the last counting 1 minus this; 0.999, say."""
    patience: int | None = None
    """Stop after this many evaluations in a row without a new best on the held-out texts."""
    batch_size: int = 32
    """Texts, or windows, in a batch."""
    buckets: int = 8
    """Lengths of batches, each filled with texts of about its length; 1 mixes texts of all lengths and pads more."""
    epochs: int | None = None
    """Train for this many passes over the texts."""
    steps: int | None = None
    """Train for this many steps."""
    time_budget: str | None = None
    """Train this long from the start of the program: 90s, 2m, 1h30m; 2m where nothing else says how long."""
    seed: int = 0
    """The seed of everything random."""
    sample_prompts: tuple[str, ...] = ("Today ",)
    """Prompts to continue after each evaluation."""


@dataclasses.dataclass(frozen=True)
class Config:
    """All the settings of a run."""

    data: DataConfig = DataConfig()
    # Twice the units of the textbook's network, and an embedding: what two minutes on two cores learn most with.
    model: ModelConfig = ModelConfig(hidden=256, embedding=64)
    training: TrainingConfig = TrainingConfig()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, one object per section."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Config:
        """The inverse of ``to_dict``.

        Raises:
          InputError: a setting is unknown, as in a run written by a later version.
        """
        sections = {}
        for section in dataclasses.fields(cls):
            kind = get_type_hints(cls)[section.name]
            known = {field.name for field in dataclasses.fields(kind)}
            given = values.get(section.name, {})
            if unknown := sorted(set(given) - known):
                raise InputError(
                    f"the settings hold {', '.join(unknown)}, which this version of flaxchar does not know; "
                    "use the version that wrote them"
                )
            sections[section.name] = kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in given.items()})
        return cls(**sections)

    def replace(self, **settings: Any) -> Config:
        """A copy with some settings changed, each by its own name: ``config.replace(hidden=256, steps=500)``.

        Raises:
          TypeError: there is no setting of that name.
        """
        sections = {}
        for section in dataclasses.fields(self):
            values = getattr(self, section.name)
            own = {field.name for field in dataclasses.fields(values)} & set(settings)
            sections[section.name] = dataclasses.replace(values, **{name: settings.pop(name) for name in own})
        if settings:
            raise TypeError(f"no such setting: {', '.join(sorted(settings))}")
        return Config(**sections)

    def without_length(self) -> Config:
        """A copy that does not say how long to train."""
        return self.replace(**dict.fromkeys(LENGTHS))

    def differences(self, other: Config) -> list[tuple[str, Any, Any]]:
        """``(name, ours, theirs)`` for each setting that differs."""
        return [
            (field.name, ours, theirs)
            for section in dataclasses.fields(self)
            for field in dataclasses.fields(getattr(self, section.name))
            if (ours := getattr(getattr(self, section.name), field.name))
            != (theirs := getattr(getattr(other, section.name), field.name))
        ]

    def validate(self) -> None:
        """Raise ``InputError`` for the first setting that cannot work, naming its flag."""
        data, model, training = self.data, self.model, self.training
        for section in (data, model, training):
            for name, kind in get_type_hints(type(section)).items():
                value = getattr(section, name)
                if (choices := get_args(kind)) and all(isinstance(choice, str) for choice in choices):
                    _require(value in choices, name, value, f"one of {', '.join(choices)}")
        for section, name in (
            (data, "max_length"),
            (data, "max_vocab"),
            (model, "layers"),
            (model, "hidden"),
            (training, "batch_size"),
            (training, "buckets"),
            (training, "epochs"),
            (training, "steps"),
            (training, "patience"),
        ):
            value = getattr(section, name)
            _require(value is None or value >= 1, name, value, "1 or more")
        _require(data.window is None or data.window >= 0, "window", data.window, "0 or more")
        fraction = data.val_fraction
        _require(fraction is None or 0 <= fraction < 1, "val_fraction", fraction, "0 or more and less than 1")
        _require(model.embedding >= 0, "embedding", model.embedding, "0 or more")
        if model.input_dropout and not model.embedding:
            raise InputError("--input-dropout drops parts of an embedding; give one by --embedding 64")
        for name in ("dropout", "recurrent_dropout", "input_dropout"):
            share = getattr(model, name)
            _require(0 <= share < 1, name, share, "0 or more and less than 1")
        if model.recurrent_dropout and model.cell in ("mingru", "minlstm"):
            raise InputError(f"--recurrent-dropout: the state of --cell {model.cell} is fed back through no weights")
        rate, norm = training.learning_rate, training.clip_norm
        _require(rate > 0 and math.isfinite(rate), "learning_rate", rate, "a number above 0")
        _require(norm is None or norm > 0, "clip_norm", norm, "a number above 0")
        ema, decay = training.ema, training.weight_decay
        _require(ema is None or 0 < ema < 1, "ema", ema, "above 0 and less than 1")
        _require(decay >= 0 and math.isfinite(decay), "weight_decay", decay, "0 or more")
        _require(training.warmup_steps >= 0, "warmup_steps", training.warmup_steps, "0 or more")
        _require(0 <= training.seed < 2**32, "seed", training.seed, "0 or more and less than 2^32")
        if training.time_budget is not None:
            parse_duration(training.time_budget)
        lengths = [name for name in LENGTHS if getattr(training, name) is not None]
        if len(lengths) > 1:
            raise InputError(f"{' and '.join(map(flag, lengths))} each say how long to train; give one of them")
        if data.dataset and data.data:
            raise InputError("--dataset and --data each say what to train on; give one of them")
        if data.label_field is not None and data.source_field is not None:
            raise InputError("--label-field and --source-field exclude each other; give one of them")
        if model.head == "classifier" and data.label_field is None:
            raise InputError("--head classifier needs --label-field, which says what names the classes")
        for name in ("label_field", "source_field"):
            if getattr(data, name) is not None and data.window:
                raise InputError(f"{flag(name)} and --window exclude each other: running text has no fields")
            if getattr(data, name) is not None and (data.dataset == "headlines" or "-" in data.data):
                raise InputError(f"{flag(name)} needs a table, .jsonl or a data set that has such a field")
        if data.val_data and not data.data:
            raise InputError("--val-data goes with --data")


def flag(name: str) -> str:
    """The command line's name of a setting: ``max_length`` → ``--max-length``."""
    return "--" + name.replace("_", "-")


def parse_duration(text: str) -> float:
    """Seconds in ``90``, ``90s``, ``2m``, ``1.5h`` or ``1h30m``.

    Raises:
      InputError: it is none of these, or is not above zero.
    """
    match = re.fullmatch(r"(?:([\d.]+)h)?(?:([\d.]+)m)?(?:([\d.]+)s?)?", text.strip())
    try:
        hours, minutes, seconds = (float(part or 0) for part in match.groups()) if match else (0.0, 0.0, 0.0)
    except ValueError:
        hours = minutes = seconds = 0.0
    total = 3600 * hours + 60 * minutes + seconds
    _require(total > 0, "time_budget", text, "a time such as 90s, 2m or 1h30m")
    return total


def _require(condition: bool, name: str, value: Any, wanted: str) -> None:
    if not condition:
        raise InputError(f"{flag(name)} is {value!r}; it must be {wanted}")
