"""The library's front: train a language model on texts, write with it, score with it, save and load it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from flaxchar.config import LENGTHS, Config, InputError
from flaxchar.data.cache import encode_corpus
from flaxchar.data.corpus import make_corpus
from flaxchar.data.vocabulary import Vocabulary, labelled
from flaxchar.generation.beam import beam_search
from flaxchar.generation.decode import generate, stream
from flaxchar.generation.sampling import Sampling
from flaxchar.models.charlm import Params, init_params, make_model
from flaxchar.models.evaluation import score_texts
from flaxchar.training.run_directory import Run
from flaxchar.training.session import train_corpus


class LanguageModel:
    """A trained model: writes texts and scores them.

    Attributes:
      params: the parameters, a plain pytree of float32 arrays.
      vocabulary: text ↔ ids.
      config: all settings it was trained with.
      model: the Flax module: ``model.apply({"params": params}, ids)``.
    """

    def __init__(self, params: Params, vocabulary: Vocabulary, config: Config) -> None:
        """Use ``train`` or ``load``."""
        self.params, self.vocabulary, self.config = params, vocabulary, config
        self.model = make_model(vocabulary, config.model)

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
        unknown: Literal["error", "drop"] = "error",
        label: str | None = None,
        source: str | None = None,
    ) -> list[str]:
        """Texts that begin with the prompt.

        Args:
          prompt: how they begin; without one they begin as the training texts do.
          temperature: below 1 for likelier texts, above for wilder ones; 0 for the most probable character each time.
          num_samples: how many.
          top_k: draw only among this many most probable characters; 0 for all.
          top_p: draw only among the most probable characters that together have this probability.
          size: the longest text, in characters (words where the unit is words), the prompt included.
          seed: the same seed gives the same texts, and text ``i`` whatever ``num_samples`` is.
          unknown: for characters of the prompt that the model has never seen: raise an error, or leave them out.
          label: the class to write for; a model that knows classes needs one.
          source: what to write from; a model that was trained with sources needs one.

        Raises:
          InputError: an argument is out of its range, the prompt is longer than ``size``, or it holds the unknown.
        """
        prompt, ids, size = self._prompt(prompt, size, num_samples, unknown, label, source)
        sampling = Sampling(temperature, top_k, top_p)
        texts = generate(
            self.model, self.params, self.vocabulary, ids, num_samples, size, seed, sampling, self.config.data.bos
        )
        return [prompt + self.vocabulary.decode(text) for text in texts]

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
        unknown: Literal["error", "drop"] = "error",
        label: str | None = None,
        source: str | None = None,
    ) -> Iterator[str]:
        """Text number ``sample`` of ``generate`` in pieces as it is written, the prompt first; arguments as there."""
        prompt, ids, size = self._prompt(prompt, size, 1, unknown, label, source)
        sampling = Sampling(temperature, top_k, top_p)
        pieces = stream(
            self.model, self.params, self.vocabulary, ids, sample, size, seed, sampling, self.config.data.bos
        )
        yield prompt
        for piece in pieces:
            yield self.vocabulary.decode(piece)

    def likeliest(
        self,
        prompt: str = "",
        *,
        beams: int = 8,
        size: int = 300,
        unknown: Literal["error", "drop"] = "error",
        label: str | None = None,
        source: str | None = None,
    ) -> str:
        """The most probable text that a beam search finds; arguments as ``generate`` takes them.

        Raises:
          InputError: as ``generate``, and where ``beams`` is less than 1.
        """
        prompt, ids, size = self._prompt(prompt, size, 1, unknown, label, source)
        bos = self.config.data.bos
        text, _ = beam_search(self.model, self.params, self.vocabulary, ids, beams, size, bos)
        return prompt + self.vocabulary.decode(text)

    def _prompt(
        self,
        prompt: str,
        size: int,
        num_samples: int,
        unknown: Literal["error", "drop"],
        label: str | None,
        source: str | None,
    ) -> tuple[str, np.ndarray, int]:
        """The prompt as it will be read; its ids, after its class or source; and ``size`` with these counted."""
        if num_samples < 1:
            raise InputError(f"--num-samples is {num_samples}; it must be 1 or more")
        if size < 1:
            raise InputError(f"--size is {size}; it must be 1 or more")
        ids = self.vocabulary.encode(prompt, unknown)
        if unknown == "drop":
            ids = ids[ids != self.vocabulary.unknown]
            prompt = self.vocabulary.decode(ids)
        if len(ids) > size:
            raise InputError(f"the prompt {prompt[:40]!r} is longer than --size {size}, which counts it")
        before = self._before(label, source, unknown)
        return prompt, np.concatenate([before, ids]).astype(np.int32), size + len(before)

    def _before(self, label: str | None, source: str | None, unknown: Literal["error", "drop"]) -> np.ndarray:
        """The ids that the model needs to be told before a text: those of a class, or of a source."""
        vocabulary = self.vocabulary
        if vocabulary.classifies:
            raise InputError("the model names the class of a text (train --head classifier); it writes none")
        before = np.empty(0, np.int32)
        if label is not None:
            before = np.array([vocabulary.label_id(label)])
        elif vocabulary.labels:
            known = ", ".join(map(repr, vocabulary.labels[:20]))
            raise InputError(f"the model writes for a class; say which with --label: {known}")
        if source is not None:
            if vocabulary.source_end is None:
                raise InputError("the model was not trained to write from a source; see train --source-field")
            read = vocabulary.encode(source, unknown)
            before = np.append(read[read != vocabulary.unknown] if unknown == "drop" else read, vocabulary.source_end)
        elif vocabulary.source_end is not None:
            raise InputError("the model writes from a source; give it with --source")
        return before

    def refuse_sources(self) -> None:
        """Raise ``InputError`` where a text alone cannot be scored."""
        if self.vocabulary.classifies:
            raise InputError(
                "the model names the class of a text (train --head classifier); of the text it says nothing"
            )
        if self.vocabulary.source_end is not None:
            raise InputError("the model writes from a source, and nothing tells that of these texts")

    def class_nats(self, texts: Sequence[str]) -> np.ndarray:
        """What each text costs as a text of each class, nats ``[texts, classes]``; what is unknown is left out.

        Of a classifier: what each class costs as that of the text.

        Raises:
          InputError: the model knows no classes.
        """
        if not self.vocabulary.labels:
            raise InputError("the model knows no classes; train one with --label-field")
        columns = []
        for number in range(len(self.vocabulary.labels)):
            as_class = [labelled(text, number, self.vocabulary.classifies) for text in texts]
            encoded, _ = self.vocabulary.encode_texts(as_class)
            columns.append(score_texts(self.model, self.params, encoded, self.vocabulary.eos, bos=False).nats)
        return np.stack(columns, axis=1).astype(np.float64)

    def mixed_nats(self, texts: Sequence[str]) -> np.ndarray:
        """What each text costs whatever its class, all being as probable beforehand, nats ``[texts]``."""
        return -np.logaddexp.reduce(-self.class_nats(texts), axis=1) + math.log(len(self.vocabulary.labels))

    def score(self, texts: Sequence[str]) -> list[float]:
        """Bits per character of each text: how surprising it is, ``<eos>`` counted as a character.

        Raises:
          InputError: a text holds something the vocabulary does not, or is empty where the first character does not
            count (``bos`` off).
        """
        self.refuse_sources()
        texts = list(texts)
        bos = self.config.data.bos
        for text in texts:
            self.vocabulary.encode(text)
            if not text and not self.vocabulary.labels and not bos:
                raise InputError("an empty text has no score under a model trained with --no-bos")
        if not texts:
            return []
        if self.vocabulary.labels:
            nats, counts = self.mixed_nats(texts), [len(text) + 1 for text in texts]
        else:
            encoded, _ = self.vocabulary.encode_texts(texts)
            nats = score_texts(self.model, self.params, encoded, self.vocabulary.eos, bos).nats
            counts = [self.vocabulary.predicted_characters([text], bos) for text in texts]
        return [float(n) / math.log(2) / count for n, count in zip(nats, counts, strict=True)]

    def save(self, path: str | Path) -> None:
        """Save the model as a run directory of its own, for ``load`` and ``sample.py``.

        Raises:
          InputError: the folder holds something already, or cannot be written.
        """
        run = Run.create(Path(path), self.config, self.vocabulary, {}, steps=0)
        run.save(0, self.params)
        run.close()


def class_probabilities(nats: np.ndarray) -> np.ndarray:
    """Bayes' rule with classes as probable beforehand: nats ``[texts, classes]`` → probabilities likewise."""
    likelihoods = np.exp(nats.min(axis=1, keepdims=True) - nats)
    return likelihoods / likelihoods.sum(axis=1, keepdims=True)


def load(path: str | Path) -> LanguageModel:
    """The best model of a run directory.

    Raises:
      InputError: there is no run, or no checkpoint in it yet, or it is damaged.
    """
    run = Run.open(Path(path))
    try:
        best = run.best()
        if best is None:
            raise InputError(f"{path} holds no checkpoint yet: its training was stopped before the first was saved")
        template = jax.eval_shape(lambda: init_params(make_model(run.vocabulary, run.config.model), jax.random.key(0)))
        params, _ = run.restore(best[0], template)
    finally:
        run.close()
    return LanguageModel(params, run.vocabulary, run.config)


def train(
    texts: Iterable[str],
    *,
    held_out: Iterable[str] | None = None,
    workdir: str | Path | None = None,
    config: Config | None = None,
    **settings: Any,
) -> LanguageModel:
    """Train a model on texts.

    Args:
      texts: any iterable of strings.
      held_out: texts to judge by; None to hold out ``val_fraction`` of ``texts``.
      workdir: keep the run in this folder, and go on with it where it was interrupted; None to keep nothing.
      config: settings to begin with; None for the defaults, which depend on how much text there is.
      **settings: changes to them, each by its flag's name: ``steps=500``, ``hidden=256``, ``time_budget="5m"``.

    Returns:
      The model of the best held-out bits per character (the last one where nothing is held out).

    Raises:
      InputError: a setting or a text cannot be used.
      TypeError: there is no setting of that name.
    """

    def changed(base: Config) -> Config:
        return (base.without_length() if set(settings) & set(LENGTHS) else base).replace(**settings)

    settled = changed(config or Config())
    settled.validate()
    corpus = make_corpus(texts, held_out, settled.data, settled.training.seed)
    encoded = encode_corpus(corpus, settled.data)
    config = changed(config or encoded.preset("default", settled.data.running))
    params, vocabulary = train_corpus(encoded, config, None if workdir is None else Path(workdir))
    return LanguageModel(params, vocabulary, config)
