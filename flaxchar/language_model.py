"""A trained model as the library hands it out: it writes, scores, classifies and compresses texts."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack

from flaxchar.analysis.classify import Classification, classify
from flaxchar.analysis.compression import compress, decompress
from flaxchar.analysis.novelty import Novelty, TextIndex, measure_novelty
from flaxchar.analysis.score import score_examples
from flaxchar.config import InputError
from flaxchar.data.examples import Example
from flaxchar.data.forms import normalized
from flaxchar.data.from_python import examples_from
from flaxchar.generation.arguments import check, check_path
from flaxchar.generation.beam import beam_search
from flaxchar.generation.blend import blended
from flaxchar.generation.constraints import TextConstraints
from flaxchar.generation.control import make_control
from flaxchar.generation.generate import generate, stream
from flaxchar.generation.given import check_normalized, given_examples
from flaxchar.generation.prompt import encode_prompt
from flaxchar.generation.sampling import Sampling
from flaxchar.insight.trace import ALTERNATIVES, Trace, trace
from flaxchar.kernels.forks import check_process
from flaxchar.models.trained import TrainedModel
from flaxchar.training.run_directory import Run

if TYPE_CHECKING:
    from flaxchar.export.exporting import ExportFormat

Unknown = Literal["error", "drop"]


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
        min_p: float = 0.0,
        size: int = 300,
        seed: int = 0,
        unknown: Unknown = "error",
        label: str | None = None,
        source: str | None = None,
        repetition_penalty: float = 1.0,
        blend: tuple[TrainedModel, float] | None = None,
        **constraints: Unpack[TextConstraints],
    ) -> list[str]:
        r"""Write texts that begin with a prompt.

        Args:
          prompt: how the texts begin; without one they begin as the training texts do.
          temperature: divides the logits: below 1 for likelier texts, above 1 for wilder ones, 0 for the most probable
            character each time.
          num_samples: how many texts.
          top_k: draw only among this many most probable characters; 0 for all.
          top_p: draw only among the most probable characters that together have at least this probability.
          min_p: draw only among characters with at least this share of the most probable one's probability; 0 for all.
          size: the longest text, in characters (words for a model of words), the prompt counted.
          seed: the same seed gives the same texts; text ``i`` does not depend on ``num_samples``.
          unknown: what to do with characters of the prompt outside the vocabulary: raise an error, or leave them out.
          label: the label to write for; a model trained with labels needs one.
          source: the source to write from; a model trained with sources needs one.
          repetition_penalty: multiplies the log-probability of each character that the text already holds; 1 for no
            penalty. In a long text that is nearly every character, so values just above 1 have a strong effect.
          blend: another model of the same vocabulary and a share of 0 to 1: the logits of both are mixed.
          **constraints: ``forbid``, ``regex``, ``acrostic`` and ``stop``: see ``TextConstraints``.

        Raises:
          InputError: an argument is out of its range, the prompt is longer than ``size`` or holds unknown characters,
            no text meets the constraints, or the vocabularies of a blend differ.

        Example::

            lm.generate("Today ", temperature=0.5, num_samples=3)
            lm.generate(regex=r"\w+ (wins|loses) \d+-\d+", forbid="xyz")
        """
        check_process()
        check("num_samples", num_samples, int, least=1)
        begin = encode_prompt(self, prompt, size, unknown, label, source)
        sampling = Sampling(temperature, top_k, top_p, min_p)
        control = make_control(self.vocabulary, begin, constraints, repetition_penalty)
        model, params = blended(self, blend)
        lines, bos = control.texts, self.config.data.bos
        ids = generate(
            model, params, self.vocabulary, begin.ids, lines * num_samples, begin.size, seed, sampling, bos, control
        )
        texts = ["".join(begin.followed_by([self.vocabulary.decode(text)])) for text in ids]
        return ["\n".join(texts[first : first + lines]) for first in range(0, len(texts), lines)]

    def stream(
        self,
        prompt: str = "",
        *,
        temperature: float = 0.8,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        size: int = 300,
        seed: int = 0,
        sample: int = 0,
        unknown: Unknown = "error",
        label: str | None = None,
        source: str | None = None,
        repetition_penalty: float = 1.0,
        blend: tuple[TrainedModel, float] | None = None,
        **constraints: Unpack[TextConstraints],
    ) -> Iterator[str]:
        """Write text number ``sample`` of ``generate`` and yield it in pieces, the prompt first; arguments as there.

        Raises:
          InputError: as ``generate``, at once and not with the first piece.
        """
        check_process()
        check("sample", sample, int, least=0, most=2**32 - 1)
        check("seed", seed, int, least=0, most=2**32 - 1)
        begin = encode_prompt(self, prompt, size, unknown, label, source)
        sampling = Sampling(temperature, top_k, top_p, min_p)
        sampling.validate()
        control = make_control(self.vocabulary, begin, constraints, repetition_penalty)
        model, params = blended(self, blend)
        bos = self.config.data.bos

        def pieces(number: int) -> Iterator[str]:
            ids = stream(model, params, self.vocabulary, begin.ids, number, begin.size, seed, sampling, bos, control)
            return begin.followed_by(map(self.vocabulary.decode, ids))

        lines = control.texts
        first, *others = range(lines * sample, lines * (sample + 1))
        return itertools.chain(pieces(first), *(itertools.chain(["\n"], pieces(number)) for number in others))

    def likeliest(
        self,
        prompt: str = "",
        *,
        beams: int = 8,
        size: int = 300,
        unknown: Unknown = "error",
        label: str | None = None,
        source: str | None = None,
        blend: tuple[TrainedModel, float] | None = None,
        **constraints: Unpack[TextConstraints],
    ) -> str:
        """Write the most probable text that a beam search finds; arguments as ``generate``.

        Raises:
          InputError: as ``generate``, and where ``beams`` is less than 1.
        """
        check_process()
        begin = encode_prompt(self, prompt, size, unknown, label, source)
        control = make_control(self.vocabulary, begin, constraints)
        (model, params), bos = blended(self, blend), self.config.data.bos
        found = (
            beam_search(model, params, self.vocabulary, begin.ids, beams, begin.size, bos, control.constraint, number)
            for number in range(control.texts)
        )
        return "\n".join("".join(begin.followed_by([self.vocabulary.decode(ids)])) for ids, _ in found)

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

    def trace(
        self,
        text: str,
        *,
        label: str | None = None,
        source: str | None = None,
        alternatives: int = ALTERNATIVES,
        unknown: Unknown = "error",
    ) -> Trace:
        """What the model predicts at each position of a text, and the state of its units there.

        Args:
          text: the text.
          label: its label, for a model trained with labels.
          source: its source, for a model trained with sources.
          alternatives: how many of the likeliest tokens to keep for each position.
          unknown: what to do with characters outside the vocabulary: raise an error, or leave them out.

        Raises:
          InputError: the text holds unknown characters, the label or the source is missing or unexpected, or the model
            is a classifier, which predicts no characters.

        Example::

            seen = lm.trace("Oil prices rise")
            seen.tokens[3], seen.bits[3], seen.alternatives[3][:2]  # (" ", 0.3, [(" ", 0.81), ("f", 0.02)])
            seen.activations.shape  # (1, 16, 256): layers, positions, units
        """
        check_process()
        check("text", text, str)
        check("alternatives", alternatives, int, least=0)
        check("unknown", unknown, Unknown)
        for name, value in (("label", label), ("source", source)):
            if value is not None:
                check(name, value, str)
        return trace(self, text, label=label, source=source, alternatives=alternatives, unknown=unknown)

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

    def export(self, path: str | Path, *, to: ExportFormat) -> None:
        """Write the model in a format that other programs read; ``docs/export.md`` has their names and shapes.

        Args:
          path: a new file; for ``"torch"`` and ``"keras"`` a new folder.
          to: ``"safetensors"``, ``"torch"``, ``"keras"``, ``"html"`` (a page that writes and scores in a browser) or
            ``"onnx"`` (one step).

        Raises:
          InputError: the format cannot express the model, the extra ``export`` is not installed, or the path exists.
          StorageError: there is no room or no permission.

        Example::

            lm.export("headlines.html", to="html")
        """
        check_process()
        check_path("path", path)
        from flaxchar.export.exporting import export_model

        export_model(self, Path(path), to)

    def save(self, path: str | Path) -> None:
        """Save the model as a run directory of its own, for ``load`` and ``sample.py``.

        Raises:
          InputError: the folder holds something already, or the path cannot be a folder.
          StorageError: there is no room or no permission.
        """
        check_path("path", path)
        run = Run.create(Path(path), self.config, self.vocabulary, {}, steps=0)
        try:
            run.claim()
            run.checkpoints.save(0, self.params)
        finally:
            run.close()
