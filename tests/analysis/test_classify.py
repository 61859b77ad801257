"""Classification: Bayes' rule on the model's own probabilities, and figures that say how good it is."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import untrained_model

from flaxchar import InputError
from flaxchar.analysis.classify import Classification, class_nats, class_probabilities, judge


def test_the_probability_of_a_label_follows_by_bayes_rule():
    lm = untrained_model(["abx", "xyz"], labels=("low", "high"), bos=False)
    texts = ["abxab", "zyzx", "xx"]
    nats = class_nats(lm, texts)
    for number, label in enumerate(lm.vocabulary.label_ids):
        for text, expected in zip(texts, nats[:, number], strict=True):
            ids = np.concatenate([[label], lm.vocabulary.encode(text)])
            logits, _ = lm.model.apply({"params": lm.params}, jnp.asarray(ids[None]))
            log = np.asarray(jax.nn.log_softmax(logits[0]))
            targets = np.append(ids[1:], lm.vocabulary.eos)
            assert expected == pytest.approx(-log[np.arange(len(ids)), targets].sum(), rel=1e-4)
    result = lm.classify(texts)
    likelihoods = np.exp(-nats)
    np.testing.assert_allclose(result.probabilities, likelihoods / likelihoods.sum(1, keepdims=True), rtol=1e-6)
    assert result.labels == [("low", "high")[k] for k in nats.argmin(1)]


def test_probabilities_of_very_long_texts_do_not_underflow():
    np.testing.assert_allclose(class_probabilities(np.array([[10_000.0, 10_001.0]])).sum(), 1)


def test_what_a_classifier_says_depends_neither_on_padding_nor_on_the_rest_of_the_batch():
    lm = untrained_model(["abxyz"], labels=("low", "high"), head="classifier", bos=False)
    alone = class_nats(lm, ["ab"])
    together = class_nats(lm, ["ab", "zyx" * 10, "x"])
    np.testing.assert_allclose(alone[0], together[0], atol=1e-5)


def test_accuracy_confusion_and_calibration_of_a_known_classification():
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.95, 0.05]])
    report = judge(Classification(("a", "b"), probabilities), ["a", "b", "b", "a"])
    assert report.accuracy == 0.75
    assert report.confusion.tolist() == [[2, 0], [1, 1]]
    assert report.bins == [(0.6, 0.0, 1), (0.8, 1.0, 1), (pytest.approx(0.925), 1.0, 2)]
    assert report.calibration_error == pytest.approx((0.6 + 0.2 + 2 * 0.075) / 4)


def test_what_cannot_be_classified_is_refused():
    with pytest.raises(InputError, match="knows no labels"):
        untrained_model(["ab"]).classify(["a"])
    lm = untrained_model(["ab"], labels=("x", "y"), bos=False)
    with pytest.raises(InputError, match="no text"):
        lm.classify([])
    with pytest.raises(InputError, match="'z' is no label of the model; its labels are 'x', 'y'"):
        judge(lm.classify(["ab"]), ["z"])
