"""The three sections of a run's settings. Each field declares its default, its help and the values it may have."""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Literal

from flaxchar.validation import setting

Unit = Literal["char", "word"]
CellName = Literal["lstm", "gru", "rnn", "mingru", "minlstm"]
OptimizerName = Literal["adam", "adamw", "lion", "muon", "rmsprop", "sgd"]
ScheduleName = Literal["constant", "cosine"]
HeadName = Literal["language", "classifier"]
NormalForm = Literal["nfc", "nfkc"]
FormatName = Literal["txt", "csv", "tsv", "json", "parquet"]
BeginAt = Literal["paragraph", "line", "anywhere"]

DEFAULT_TIME_BUDGET = "2m"
# The settings that say how long to train; a run has at most one of them.
LENGTHS = ("epochs", "steps", "time_budget")
DEFAULT_WORD_VOCABULARY = 10_000
# What is written at once, at most: tokens of a text, texts, tokens of all texts; and the width of a beam search.
MOST_SIZE, MOST_SAMPLES, MOST_WRITTEN, MOST_BEAMS = 1_000_000, 1_000_000, 1_000_000_000, 1_000
MOST_PENALTY = 100
# The largest vocabulary. Compression gives each id an interval of 2^24 (analysis/range_coder.py).
MOST_TOKENS = 10_000_000
DEFAULT_WINDOW = 256


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """The texts: where they come from and how they become ids."""

    HEADING: ClassVar = "Texts"

    dataset: str | None = setting(
        None,
        "Name of a data set of TensorFlow Datasets (TFDS), or headlines, which comes with flaxchar. Without `dataset` "
        "and `data`: AG News if it is prepared or can be downloaded, else headlines.",
        filled=True,
    )
    data: tuple[str, ...] = setting(
        (),
        "Files to train on: plain text (one text a line, or running text), tables (.csv, .tsv, .parquet) or JSON "
        "(.json, .jsonl); also compressed, in archives (.zip, .tar) and folders; or - for standard input.",
        metavar="FILE",
    )
    fields: tuple[str, ...] = setting(
        (),
        "Columns, JSON keys or TFDS features that hold the text: names, or numbers from 1 for a table without a "
        "header. Several are joined by a space.",
        alias="target_field",
    )
    label_field: str | None = setting(
        None,
        "Column, JSON key or TFDS feature that holds the label (class) of each text. The model learns to write a text "
        "given its label; after training it can write texts for a label and classify texts.",
        filled=True,
    )
    source_field: str | None = setting(
        None,
        "Column, JSON key or TFDS feature that holds the source of each text, such as the article of a headline. The "
        "model learns to write a text given its source.",
        filled=True,
    )
    data_dir: str | None = setting(
        None,
        "Folder of prepared TFDS data sets. Without it: the environment variable TFDS_DATA_DIR, else "
        "~/tensorflow_datasets.",
    )
    encoding: str = setting(
        "utf-8",
        "Encoding of the files, such as cp1252. A byte order mark at the start of a file takes precedence.",
        filled=True,
    )
    format: FormatName | None = setting(
        None, "How to read the files, whatever their names. Without it: by their endings, else by their content."
    )
    delimiter: str | None = setting(
        None,
        "Character between the columns of tables, such as ; or \\t for tabs. Without it: the one of , ; | and tab that "
        "gives all rows the same number of columns.",
        metavar="CHARACTER",
    )
    skip_bad_rows: bool = setting(
        False,
        "Leave out table rows with too many columns or without all wanted ones, and JSON records without the fields; "
        "the report counts them. Without it they are an error. A row that is too short is read all the same if the "
        "wanted columns stand before its last cell.",
    )
    val_data: tuple[str, ...] = setting((), "Files to hold out for evaluation, read like `data`.", metavar="FILE")
    val_fraction: float | None = setting(
        None,
        "Share of the texts to hold out for evaluation. Without it: 0.05, but at most 200,000 characters.",
        least=0,
        below=1,
    )
    max_length: int = setting(1000, "Leave out texts with more characters than this; the report counts them.", least=1)
    unescape_html: bool = setting(
        False, "Decode HTML character references, such as &lt; or &#39;, even without their ampersand, such as #39;"
    )
    normalize: NormalForm | None = setting(
        None,
        "Bring all texts that the model reads, now and later, into a normal form of Unicode. nfc writes é as one "
        "character; nfkc also writes ﬁ as fi and full-width letters as plain ones.",
    )
    unit: Unit = setting("char", "Model characters or words.")
    max_vocab: int | None = setting(
        None,
        "Keep this many of the most frequent characters or words; all others become one unknown token. Without it: "
        "all characters, or 10,000 words.",
        least=1,
        most=MOST_TOKENS,
    )
    bos: bool = setting(
        True,
        "Feed <eos> before each text, so that the first character is predicted too. Always off with labels or sources.",
    )
    window: int | None = setting(
        None,
        "Read the files as running text in windows of this many characters (words with `unit` word), and carry the "
        "recurrent state from window to window. 0 makes each line a separate text. Without it: 256 for text files "
        "with blank, indented or very long lines, else 0.",
        least=0,
    )
    begin_at: BeginAt | None = setting(
        None,
        "Where the model begins a text without a prompt, if it was trained on running text: after a blank line "
        "(paragraph), after a line feed (line), or anywhere. Without it: paragraph if blank lines separate paragraphs, "
        "else line; anywhere if the files have no line feeds.",
    )

    @property
    def running(self) -> bool:
        """Whether the files are read as running text rather than as separate texts."""
        return bool(self.window)


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The network."""

    HEADING: ClassVar = "Network"

    head: HeadName = setting(
        "language",
        "language predicts the next character; classifier predicts the label of the whole text (needs `label_field`).",
    )
    cell: CellName = setting("lstm", "Recurrent cell. gru and rnn are smaller and faster but learn less per step.")
    layers: int = setting(1, "Number of recurrent layers.", least=1, most=1_000)
    hidden: int = setting(
        128, "Units of each recurrent layer. More units need more time, memory and text.", least=1, most=65_536
    )
    embedding: int = setting(
        0, "Size of the character embedding; 0 feeds characters one-hot to the first layer.", least=0, most=65_536
    )
    input_dropout: float = setting(0.0, "Dropout rate of the embedding.", least=0, below=1)
    dropout: float = setting(
        0.2,
        "Dropout rate of each layer's outputs. Raise it if the held-out loss falls and then rises (overfitting).",
        least=0,
        below=1,
    )
    recurrent_dropout: float = setting(
        0.0,
        "Dropout rate of the recurrent state, with one mask for all steps. Use it for large networks on little text.",
        least=0,
        below=1,
    )
    residual: bool = setting(False, "Add residual connections around every layer after the first.")
    layer_norm: bool = setting(
        False, "Apply LayerNorm to the inputs of every layer after the first and to the final outputs."
    )
    dtype: Literal["float32", "bfloat16"] = setting(
        "float32",
        "Type of the factors in matrix products. bfloat16 is usually faster on a GPU; on a CPU it turns training's C++ "
        "kernel off. Parameters, recurrent state, attention and loss are always float32.",
    )
    matmul_precision: Literal["default", "float32"] = setting(
        "default",
        "Precision of matrix products with `dtype` float32. default: the device's own, which is float32 on a CPU and "
        "TF32 (10 bits of mantissa) on an NVIDIA GPU; float32: float32 everywhere, which is slower on a GPU.",
    )
    input_init: Literal["unit", "glorot"] = setting(
        "unit",
        "Initialisation of the first layer's input weights. unit: what a character adds to each gate has "
        "standard deviation 1; glorot: Glorot uniform, as in Keras.",
    )


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """The training: optimizer, batches and length."""

    HEADING: ClassVar = "Training"

    optimizer: OptimizerName = setting(
        "muon", "Optimiser, from Optax. muon trains the layers' matrices and Adam everything else."
    )
    learning_rate: float = setting(
        0.02, "Highest learning rate, reached at the end of the warm-up.", above=0, most=1e38
    )
    schedule: ScheduleName = setting(
        "cosine", "Learning rate after the warm-up: constant, or falling to 0 along a cosine."
    )
    warmup_steps: int = setting(
        50, "Steps in which the learning rate rises linearly to its highest; at most half of the run.", least=0
    )
    clip_norm: float | None = setting(
        0.25, "Scale gradients with a larger norm down to this norm; none for no clipping.", above=0
    )
    weight_decay: float = setting(0.1, "Weight decay of matrices under adamw, lion and muon.", least=0)
    ema: float | None = setting(
        None,
        "Decay of an exponential moving average of the parameters, such as 0.999. The saved model, the evaluations and "
        "the samples use the average. Without it, no average is kept.",
        above=0,
        below=1,
    )
    batch_size: int = setting(32, "Texts, or windows of running text, in a batch.", least=1, most=1 << 20)
    buckets: int = setting(
        8,
        "Number of batch widths. Texts of similar length share a batch, which saves padding; 1 mixes all lengths; "
        "0 packs several whole texts into each row of a batch, which is fastest on a GPU.",
        least=0,
        most=1_000,
    )
    seed: int = setting(
        0,
        "Seed of everything random: initialisation, dropout, order of the texts, choice of the held-out texts.",
        least=0,
        most=2**32 - 1,
    )
    init_from: str | None = setting(
        None,
        "Begin with the weights of the run in this directory instead of random ones. The new run takes over its "
        "network, and the weights of characters that both runs know. New characters are initialised anew.",
        metavar="DIR",
    )
    sample_prompts: tuple[str, ...] = setting(
        ("Today ",),
        "Prompts for the samples that are written after each evaluation; without a value there are no samples. Where "
        "no text begins with the default prompt, the samples begin by themselves.",
        may_be_empty=True,
    )
    epochs: int | None = setting(None, "Train for this many passes over the texts.", least=1, heading="How long")
    steps: int | None = setting(
        None,
        "Train for this many steps. A complete run is trained further if this is more than it has taken.",
        least=1,
        heading="How long",
    )
    time_budget: str | None = setting(
        None,
        "Train for this long, counted from the start of the command: 90s, 2m, 1h30m. The time is converted to a number "
        f"of steps. {DEFAULT_TIME_BUDGET} if neither the preset nor another option says how long. A complete run is "
        "trained further for this long.",
        metavar="TIME",
        heading="How long",
    )
    patience: int | None = setting(
        None, "Stop early after this many evaluations without a lower held-out loss.", least=1, heading="How long"
    )
