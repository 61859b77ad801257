"""Evaluation during training: the held-out loss and generated samples."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator

import jax
import numpy as np

from flaxchar.config import Config
from flaxchar.data.batches import Batch, WindowBatches
from flaxchar.data.cache import EncodedCorpus
from flaxchar.data.encoded import EncodedTexts
from flaxchar.data.starts import before_a_text
from flaxchar.data.vocabulary import Vocabulary
from flaxchar.generation.generate import generate
from flaxchar.generation.given import given_text
from flaxchar.generation.sampling import Sampling
from flaxchar.models.charlm import CharLM, Params
from flaxchar.models.evaluation import Evaluation, evaluate, evaluation_batches, score_batch
from flaxchar.models.trained import TrainedModel
from flaxchar.settings import TrainingConfig
from flaxchar.training.reporting import SOURCE_END, Sample

SAMPLE_TEMPERATURE = 0.8
# The most tokens of a sample, unless its prompt is longer.
SAMPLE_SIZE = 300
# Samples are generated for at most this many labels, or from this many sources.
SHOWN_LABELS = 4
SHOWN_SOURCES = 2
# Whether texts begin with the default prompt is looked up in this many texts.
LOOKED_AT = 100_000


class Evaluator:
    """Evaluates a model on the held-out texts of a corpus, and generates samples."""

    def __init__(self, model: CharLM, corpus: EncodedCorpus, config: Config) -> None:
        """Prepare the prompts of the samples.

        Raises:
          InputError: a prompt that the user set cannot be encoded.
        """
        self._model, self._corpus, self._config = model, corpus, config
        self._prompts = sample_prompts(corpus, config)

    def trained(self, params: Params) -> TrainedModel:
        """The model with these parameters."""
        return TrainedModel(params, self._corpus.vocabulary, self._config)

    def evaluate(self, params: Params) -> tuple[Evaluation | None, tuple[Sample, ...]]:
        """Evaluate the parameters and generate samples, on one device of this process."""
        corpus, data = self._corpus, self._config.data
        evaluation = None
        if len(corpus.held_out):
            evaluation = evaluate(
                self._model,
                params,
                corpus.held_out,
                corpus.held_out_characters,
                corpus.vocabulary.eos,
                data.bos,
                data.window or None,
                corpus.held_out_unknown.nats,
            )
        return evaluation, tuple(self._samples(params))

    def compile(self, params: Params) -> None:
        """Compile what ``evaluate`` runs, by scoring a batch of each width and generating the samples."""
        self._time_parts(params)

    def seconds(self, params: Params) -> float:
        """Estimate how long ``evaluate`` takes: time a batch of each width and the samples. Call ``compile`` first."""
        scoring, sampling = self._time_parts(params)
        return scoring + sampling

    def _time_parts(self, params: Params) -> tuple[float, float]:
        """Seconds to score all held-out texts, estimated from a batch of each width, and to generate the samples."""
        counts: Counter[int] = Counter()
        batch_of_width, windows = {}, bool(self._config.data.window)
        begin = time.perf_counter()
        for batch in self._batches():
            counts[batch.inputs.shape[1]] += 1
            batch_of_width[batch.inputs.shape[1]] = batch
            windows |= not batch.fresh
        scoring = time.perf_counter() - begin  # the batches are padded while they are iterated over
        for width, batch in batch_of_width.items():
            carry = self._model.initial_carry(len(batch.inputs))
            if windows:  # compile for such a carry: only the first batch gets the initial one
                _, carry = score_batch(self._model, params, carry, batch)
            begin = time.perf_counter()
            jax.block_until_ready(score_batch(self._model, params, carry, batch))
            scoring += (time.perf_counter() - begin) * counts[width]
        begin = time.perf_counter()
        self._samples(params)
        return scoring, time.perf_counter() - begin

    def _batches(self) -> Iterator[Batch]:
        """The batches that ``evaluate`` scores."""
        if not len(self._corpus.held_out):
            return
        data = self._config.data
        eos = self._corpus.vocabulary.eos
        batches = evaluation_batches(self._model, self._corpus.held_out, eos, data.bos, data.window or None)
        if isinstance(batches, WindowBatches):
            yield from map(batches.batch, range(batches.steps_per_epoch))
        else:
            yield from (batch for _, batch in batches)

    def _samples(self, params: Params) -> list[Sample]:
        """Generate two texts from each prompt: one greedily, one at ``SAMPLE_TEMPERATURE``."""
        samples = []
        for (prompt, ids), temperature in itertools.product(self._prompts, (0.0, SAMPLE_TEMPERATURE)):
            vocabulary = self._corpus.vocabulary
            (text,) = generate(
                self._model,
                params,
                vocabulary,
                ids,
                size=max(SAMPLE_SIZE, len(ids)),
                seed=self._config.training.seed,
                sampling=Sampling(temperature),
                bos=self._config.data.bos,
            )
            written = vocabulary.decode(text)
            if not prompt and len(ids):  # after the line feeds that were fed
                written = written.lstrip("\n")
            samples.append(Sample(prompt, temperature, prompt + written))
        return samples


def sample_prompts(corpus: EncodedCorpus, config: Config) -> list[tuple[str, np.ndarray]]:
    """The prompts of a run's samples: the text to show and the ids to feed, int32, of each prompt.

    A classifier has none. With sources, the prompts are the first held-out sources; with labels, the first labels, each
    before every prompt that the user set.

    Raises:
      InputError: a prompt that the user set cannot be encoded.
    """
    vocabulary, training = corpus.vocabulary, config.training
    if vocabulary.classifies:
        return []
    if vocabulary.source_end is not None:
        texts = corpus.held_out if len(corpus.held_out) else corpus.train
        sources = [texts[k][:end] for k, end in enumerate(texts.sources[:SHOWN_SOURCES].tolist())]
        return [(f"{_shown(ids[:-1], vocabulary)}{SOURCE_END}", ids.astype(np.int32)) for ids in sources]
    set_by_user = training.sample_prompts != TrainingConfig().sample_prompts
    if set_by_user:
        form = config.data.normalize
        given = [given_text(vocabulary, prompt, form, "the sample prompt") for prompt in training.sample_prompts]
    else:
        # The default prompt is one of news; where no text begins with it, the samples begin by themselves.
        given = [p if _begins_a_text(p, vocabulary, corpus.train) else "" for p in training.sample_prompts]
    if vocabulary.labels:
        return [
            (f"{name}: {prompt}", np.concatenate([[label], vocabulary.encode(prompt)]).astype(np.int32))
            for name, label in zip(vocabulary.labels[:SHOWN_LABELS], vocabulary.label_ids, strict=False)
            for prompt in (given if set_by_user else ("",))
        ]
    beginning = before_a_text(config.data, vocabulary)  # of running text
    return [(prompt, vocabulary.encode(prompt) if prompt else beginning) for prompt in given]


def _shown(ids: np.ndarray, vocabulary: Vocabulary) -> str:
    """A source to look at, with U+FFFD for each unknown token."""
    return "".join("\ufffd" if k == vocabulary.unknown else vocabulary.decode([k]) for k in ids.tolist())


def _begins_a_text(prompt: str, vocabulary: Vocabulary, texts: EncodedTexts) -> bool:
    """Whether one of the first ``LOOKED_AT`` texts begins with a prompt."""
    tokens = vocabulary.tokenize(prompt)
    if not all(map(vocabulary.id_of, tokens)):
        return False
    begins, ends = texts.offsets[:-1][:LOOKED_AT], texts.offsets[1:][:LOOKED_AT]
    begins = begins[ends - begins >= len(tokens)]
    return bool((texts.ids[begins[:, None] + np.arange(len(tokens))] == vocabulary.encode(prompt)).all(1).any())
