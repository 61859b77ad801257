"""Evaluations: the held-out result, the samples and their prompts, and what an evaluation costs."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import fake_clock

import flaxchar
from flaxchar import Config, Example, InputError, init_params
from flaxchar.analysis.score import score_examples
from flaxchar.data.cache import encode_corpus
from flaxchar.data.corpus import make_corpus
from flaxchar.kernels.random import new_key
from flaxchar.models.charlm import make_model
from flaxchar.models.trained import TrainedModel
from flaxchar.training.evaluate import Evaluator, sample_prompts


def encoded(texts, held_out, **settings):
    config = Config().replace(hidden=4, **settings)
    return encode_corpus(make_corpus(texts, held_out, config.data, 0), config.data), config


@pytest.mark.parametrize("settings", [{}, {"window": 5}])
def test_an_evaluation_is_that_of_the_library_with_a_greedy_and_a_random_sample(settings):
    corpus, config = encoded(["abba", "aab", "b"], ["ab", "ba"], sample_prompts=("ab", ""), **settings)
    model = make_model(corpus.vocabulary, config.model)
    params = init_params(model, new_key(0))
    evaluation, samples = Evaluator(model, corpus, config).evaluate(params)
    eos, window = corpus.vocabulary.eos, settings.get("window")
    expected = flaxchar.evaluate(model, params, corpus.held_out, corpus.held_out_characters, eos, window=window)
    assert evaluation == expected
    assert [(sample.prompt, sample.temperature) for sample in samples] == [("ab", 0), ("ab", 0.8), ("", 0), ("", 0.8)]
    assert all(sample.text.startswith(sample.prompt) for sample in samples)


def test_unknown_words_are_spelled_as_the_library_scores_them():
    corpus, config = encoded(["one two", "two three one"] * 3, ["one four", "five"], unit="word", max_vocab=3)
    model = make_model(corpus.vocabulary, config.model)
    params = init_params(model, new_key(0))
    evaluation, _ = Evaluator(model, corpus, config).evaluate(params)
    scores = score_examples(TrainedModel(params, corpus.vocabulary, config), [Example("one four"), Example("five")])
    assert evaluation.bits_per_character == pytest.approx(scores.bits_per_character, rel=1e-5)
    assert evaluation.spelling > 0
    assert corpus.held_out_unknown == scores.unknown
    assert corpus.held_out_unknown.characters == corpus.held_out_characters


def test_without_held_out_texts_there_are_samples_only():
    corpus, config = encoded(["abba", "aab"], [], sample_prompts=("a",))
    model = make_model(corpus.vocabulary, config.model)
    evaluator = Evaluator(model, corpus, config)
    params = init_params(model, new_key(0))
    evaluation, samples = evaluator.evaluate(params)
    assert evaluation is None
    assert len(samples) == 2


@pytest.mark.usefixtures("as_on_a_cpu")
def test_the_cost_of_an_evaluation_is_estimated_from_parts_of_it(monkeypatch):
    """Scoring a batch takes a second for each time step, by a fake clock; one batch of each width is scored."""
    clock = fake_clock(monkeypatch, Evaluator.__module__)
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice([*"abc"], length)) for length in rng.integers(3, 40, 1200)]
    corpus, config = encoded(texts[:5], texts, sample_prompts=())
    evaluator = Evaluator(make_model(corpus.vocabulary, config.model), corpus, config)
    widths = []

    def score(model, params, carry, batch):
        widths.append(batch.inputs.shape[1])
        clock[0] += batch.inputs.shape[1]
        return carry

    monkeypatch.setattr("flaxchar.training.evaluate.score_batch", score)
    estimated = evaluator.seconds({})
    assert sorted(widths) == sorted(set(widths))
    assert len(widths) == 4
    assert estimated == sum(batch.inputs.shape[1] for batch in evaluator._batches())


@pytest.mark.parametrize(
    ("texts", "prompt"),
    [
        (["Toad", "Today it rains", "Not"], "Today "),
        (["Toad", "It rains Today ", "T"], ""),  # a list of names knows the characters, and no name begins so
        (["Today", " it rains", "d"], ""),
    ],
)
def test_samples_begin_with_the_default_prompt_where_a_text_does(texts, prompt):
    corpus, config = encoded(texts, [])
    ((shown, ids),) = sample_prompts(corpus, config)
    assert (shown, corpus.vocabulary.decode(ids)) == (prompt, prompt)


def test_a_source_is_shown_with_a_sign_for_each_unknown_word():
    examples = [Example("one two", source="two one two"), Example("two one", source="one one")] * 3
    asked = [Example("one two", source="two four, one")]
    data = Config().replace(unit="word").data
    corpus = encode_corpus(make_corpus(examples, asked, data, 0), data)
    ((shown, ids),) = sample_prompts(corpus, Config(data=data))
    assert shown.startswith("two \ufffd\ufffd one")
    assert corpus.vocabulary.unknown in ids


def test_a_prompt_of_the_user_that_cannot_be_encoded_is_an_error_and_the_default_one_is_left_out():
    corpus, config = encoded(["abba", "aab"], [])
    assert [(prompt, len(ids)) for prompt, ids in sample_prompts(corpus, config)] == [("", 0)]
    spaced, config = encoded(["Today\u00a0", "day\u00a0To"], [])  # which knows another space: no warning, no prompt
    assert [prompt for prompt, _ in sample_prompts(spaced, config)] == [""]
    words, config = encoded(["ein Wort", "und noch ein Wort"], [], unit="word")
    assert [prompt for prompt, _ in sample_prompts(words, config)] == [""]
    corpus, config = encoded(["abba", "aab"], [], sample_prompts=("Zürich",))
    with pytest.raises(InputError, match="never seen"):
        Evaluator(make_model(corpus.vocabulary, config.model), corpus, config)
