"""The library's front: train a language model on texts, write with it, score, classify and compress texts with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from flaxchar.analysis.classify import Classification, classify
from flaxchar.analysis.compression import compress, decompress
from flaxchar.analysis.novelty import Novelty, TextIndex, measure_novelty
from flaxchar.analysis.score import score_examples
from flaxchar.config import Config, InputError
from flaxchar.data.cache import encode_corpus, load_encoded
from flaxchar.data.corpus import make_corpus
from flaxchar.data.examples import Example
from flaxchar.data.forms import normalized
from flaxchar.data.from_python import examples_from, file_settings
from flaxchar.data.readers.reading import Findings, ReadOptions
from flaxchar.data.starts import settle_beginning
from flaxchar.generation.arguments import check, check_path
from flaxchar.generation.beam import beam_search
from flaxchar.generation.generate import generate, stream
from flaxchar.generation.given import check_normalized, given_examples
from flaxchar.generation.prompt import encode_prompt
from flaxchar.generation.sampling import Sampling
from flaxchar.kernels.forks import check_process
from flaxchar.models.trained import TrainedModel
from flaxchar.presets import PRESETS, SIZED_PRESETS, CorpusFacts, resolve
from flaxchar.training.devices import make_layout
from flaxchar.training.initial import known_tokens, with_network
from flaxchar.training.run_directory import Run
from flaxchar.training.session import train_corpus

Unknown = Literal["error", "drop"]
# Settings that say how files are read; they have no place where ``train`` is given the texts themselves.
_FILE_SETTINGS = ("dataset", "data", "data_dir", "val_data", *({*ReadOptions._fields} - {"running"}))


class LanguageModel(TrainedModel):
    """A trained model: writes, scores, classifies and compresses texts.

    All methods read texts in the form that the model knows. A text that holds unknown characters is tried in other
    forms: Unicode's normal forms NFC and NFD, and characters that stand for the same, such as typographic and plain
    quotation marks. Where one has fewer unknown characters, it is taken and a ``flaxchar.FormWarning`` tells so.
    ``score`` tries the normal forms only, and ``compress`` changes nothing.

    A process that was forked after JAX was used cannot use a model: the methods raise ``RuntimeError`` there. Start
    worker processes with ``multiprocessing.get_context("spawn")``, or load the model in the workers only.

    Attributes:
      params: the parameters, a plain pytree of float32 arrays.
      vocabulary: text ↔ ids.
      config: all settings it was trained with.
      model: the Flax module: ``model.apply({"params": params}, ids)``.
    """

    def generate(
        self,
        prompt: str = "",
        *,
        temperature: float = 0.8,
        num_samples: int = 1,
        top_k: int = 0,
        top_p: float = 1.0,
        size: int = 300,
        seed: int = 0,
        unknown: Unknown = "error",
        label: str | None = None,
        source: str | None = None,
    ) -> list[str]:
        """Write texts that begin with a prompt.

        Args:
          prompt: how the texts begin; without one they begin as the training texts do.
          temperature: divides the logits: below 1 for likelier texts, above 1 for wilder ones, 0 for the most probable
            character each time.
          num_samples: how many texts.
          top_k: draw only among this many most probable characters; 0 for all.
          top_p: draw only among the most probable characters that together have at least this probability.
          size: the longest text, in characters (words for a model of words), the prompt counted.
          seed: the same seed gives the same texts; text ``i`` does not depend on ``num_samples``.
          unknown: what to do with characters of the prompt outside the vocabulary: raise an error, or leave them out.
          label: the label to write for; a model trained with labels needs one.
          source: the source to write from; a model trained with sources needs one.

        Raises:
          InputError: an argument is out of its range, the prompt is longer than ``size`` or holds unknown characters.

        Example::

            lm.generate("Today ", temperature=0.5, num_samples=3)
        """
        check_process()
        check("num_samples", num_samples, int, least=1)
        begin = encode_prompt(self, prompt, size, unknown, label, source)
        sampling = Sampling(temperature, top_k, top_p)
        bos = self.config.data.bos
        texts = generate(
            self.model, self.params, self.vocabulary, begin.ids, num_samples, begin.size, seed, sampling, bos
        )
        return ["".join(begin.followed_by([self.vocabulary.decode(text)])) for text in texts]

    def stream(
        self,
        prompt: str = "",
        *,
        temperature: float = 0.8,
        top_k: int = 0,
        top_p: float = 1.0,
        size: int = 300,
        seed: int = 0,
        sample: int = 0,
        unknown: Unknown = "error",
        label: str | None = None,
        source: str | None = None,
    ) -> Iterator[str]:
        """Write text number ``sample`` of ``generate`` and yield it in pieces, the prompt first; arguments as there."""
        check_process()
        check("sample", sample, int, least=0, most=2**32 - 1)
        begin = encode_prompt(self, prompt, size, unknown, label, source)
        sampling = Sampling(temperature, top_k, top_p)
        bos = self.config.data.bos
        pieces = stream(self.model, self.params, self.vocabulary, begin.ids, sample, begin.size, seed, sampling, bos)
        yield from begin.followed_by(map(self.vocabulary.decode, pieces))

    def likeliest(
        self,
        prompt: str = "",
        *,
        beams: int = 8,
        size: int = 300,
        unknown: Unknown = "error",
        label: str | None = None,
        source: str | None = None,
    ) -> str:
        """Write the most probable text that a beam search finds; arguments as ``generate``.

        Raises:
          InputError: as ``generate``, and where ``beams`` is less than 1.
        """
        check_process()
        begin = encode_prompt(self, prompt, size, unknown, label, source)
        bos = self.config.data.bos
        text, _ = beam_search(self.model, self.params, self.vocabulary, begin.ids, beams, begin.size, bos)
        return "".join(begin.followed_by([self.vocabulary.decode(text)]))

    def score(
        self,
        texts: Iterable[str | Example],
        *,
        labels: Iterable[str] | None = None,
        sources: Iterable[str] | None = None,
        adapt: bool = False,
        unknown: Unknown = "error",
    ) -> list[float]:
        """Bits per character of each text: how surprising it is to the model.

        The ``<eos>`` that ends a text counts as a character. A model of running text reads the texts one after another
        as one text, without ``<eos>``; a line then holds its line feed.

        Args:
          texts: texts, ``Example`` records or ``(text, label)`` pairs.
          labels: the label of each text, for a model trained with labels; without any, a text is scored under the
            mixture of all labels.
          sources: the source of each text, for a model trained with sources.
          adapt: let the model learn from each few texts after scoring them; the model itself is not changed.
          unknown: what to do with characters outside the vocabulary: raise an error, or leave them out.

        Raises:
          InputError: a text holds unknown characters, nothing of it is predicted (an empty text without ``<eos>``
            before it), or labels or sources are missing or unexpected.

        Example::

            lm.score(["Oil prices rise", "xqzw"])  # [1.9, 9.7]
        """
        check_process()
        check("unknown", unknown, Unknown)
        check("adapt", adapt, bool)
        examples = given_examples(self, list(examples_from(texts, labels, sources)))
        if not examples:
            return []
        if unknown == "error" and self.vocabulary.encode_texts(example.text for example in examples)[1]:
            for example in examples:
                self.vocabulary.encode(example.text)  # raises, naming the first text with an unknown character
        scores = score_examples(self, examples, adapt)
        for example, characters in zip(examples, scores.characters, strict=True):
            if not characters:
                raise InputError(f"nothing of the text {example.text[:40]!r} is predicted, so it has no score")
        return scores.bits_per_character_by_text.tolist()

    def classify(self, texts: Iterable[str]) -> Classification:
        """Probabilities of the labels for each text: ``.labels`` are the most probable ones, ``.probabilities`` all.

        Raises:
          InputError: the model was trained without labels, or there is no text.

        Example::

            lm.classify(["Oil prices rise"]).labels  # ["business"]
        """
        check_process()
        return classify(self, [example.text for example in examples_from(texts)])

    def compress(self, content: str | Iterable[Example]) -> bytes:
        """Code a text in about as many bits as the model's score says; ``decompress`` restores it.

        Args:
          content: one text; or ``Example`` records, for a model trained with labels or sources.

        Raises:
          InputError: the model needs records instead of a text, or a text instead of records, or is a classifier; or
            it was trained with ``normalize`` and the text is not in that form.
        """
        check_process()
        given = content if isinstance(content, str) else list(examples_from(content, name="content"))
        check_normalized(self, given)
        return compress(self, given)

    def decompress(self, data: bytes) -> str | list[Example]:
        """Restore what ``compress`` coded.

        Raises:
          InputError: the data is damaged, or was made by another model.
        """
        check_process()
        if not isinstance(data, bytes | bytearray | memoryview):
            raise InputError(f"`data` is {type(data).__name__}; it must be bytes, as `compress` returns them")
        return decompress(self, bytes(data), "`data`")

    def novelty(self, samples: Iterable[str], texts: Iterable[str | Example]) -> Novelty:
        """Search samples in texts: which are copies, and how long the longest common parts are.

        Args:
          samples: what the model wrote.
          texts: the texts it was trained on.

        Example::

            lm.novelty(lm.generate(num_samples=100), texts).copies
        """
        form = self.config.data.normalize
        index = TextIndex(normalized(example.text, form) for example in examples_from(texts))
        written = (example.text for example in examples_from(samples, name="samples"))
        return measure_novelty([normalized(text, form) for text in written], index)

    def save(self, path: str | Path) -> None:
        """Save the model as a run directory of its own, for ``load`` and ``sample.py``.

        Raises:
          InputError: the folder holds something already, or cannot be written.
        """
        check_path("path", path)
        run = Run.create(Path(path), self.config, self.vocabulary, {}, steps=0)
        run.checkpoints.save(0, self.params)
        run.close()


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
        trained = run.load_model()
    finally:
        run.close()
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
      TypeError: there is no setting of that name.
      RuntimeError: this process was forked from one that had used JAX.

    Example::

        lm = flaxchar.train(["up 3 %", "down 2 %"] * 50, labels=["good", "bad"] * 50, steps=200)
        lm.generate(label="good")
    """
    check_process()
    if workdir is not None:
        check_path("workdir", workdir)
    files = file_settings(texts, labels, sources, held_out, settings)
    if files is None and (misplaced := [name for name in _FILE_SETTINGS if name in settings]):
        raise InputError(f"`{misplaced[0]}` says how files are read; `train` is given the texts themselves")
    settings = settings if files is None else files
    if preset is not None and config is not None:
        raise InputError("`preset` and `config` both say which settings to begin with; give one of them")
    if preset is not None and preset not in (*PRESETS, *SIZED_PRESETS):
        raise InputError(f"`preset` is {preset!r}; it must be one of {', '.join((*SIZED_PRESETS, *PRESETS))}")

    path = None if workdir is None else Path(workdir)
    run = Run.open(path) if path is not None and Run.exists(path) and not fresh else None
    if run is not None and preset is None and config is None:
        config = run.config  # as on the command line, a run goes on with its own settings
    if isinstance(settings.get("init_from"), Path):
        settings["init_from"] = str(settings["init_from"])
    settings = with_network(settings, run)
    settled = resolve(settings, preset, config)
    settled.validate(from_python=files is None)
    like, known = None if run is None else run.vocabulary, known_tokens(settled, run)
    if files is None:
        findings = Findings()
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
    facts = CorpusFacts(data, encoded.train_characters, encoded.train.mean_length)
    settled = resolve(settings, preset, config, facts)
    settled.validate(from_python=files is None)
    layout = make_layout(settled.training, devices)
    trained = train_corpus(encoded, settled, path, fresh=fresh, layout=layout)
    return LanguageModel(trained.params, trained.vocabulary, trained.config)
