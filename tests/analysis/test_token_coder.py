"""The token coder: both directions follow the same script and ask the model for the same probabilities."""

from __future__ import annotations

import math

import pytest
from helpers import untrained_model

from flaxchar import Example
from flaxchar.analysis.score import score_examples
from flaxchar.analysis.token_coder import decode_tokens, encode_tokens, example_script, text_script

TEXTS = ["abcab", "", "ccc", "ab" * 30]


@pytest.mark.parametrize("bos", [True, False])
@pytest.mark.parametrize("separate", [True, False])
def test_rows_of_a_text_come_back_whatever_their_lengths(bos, separate):
    lm = untrained_model(["abc"])
    eos = lm.vocabulary.eos
    ids = [k for text in TEXTS for k in [*lm.vocabulary.encode(text).tolist(), eos]]
    rows = [ids[:40], ids[40:47], []]

    def scripts():
        return [text_script(len(row), eos, bos, separate) for row in rows]

    data = encode_tokens(lm, scripts(), [iter(row) for row in rows])
    assert decode_tokens(lm, scripts(), data) == rows


def test_examples_cost_what_their_scores_say():
    lm = untrained_model(["abc"], labels=("x", "y"), bos=False)
    eos, labels = lm.vocabulary.eos, ["x", "y", "y", "x"]
    rows = [
        [k for text in pair for k in [*lm.vocabulary.encode(text).tolist(), eos]] for pair in (TEXTS[:2], TEXTS[2:])
    ]

    def scripts():
        prefixes = [lm.vocabulary.prefix(label, None, "error") for label in labels]
        return [example_script(prefixes[:2], eos), example_script(prefixes[2:], eos)]

    data = encode_tokens(lm, scripts(), [iter(row) for row in rows])
    assert decode_tokens(lm, scripts(), data) == rows
    examples = [Example(text, label) for text, label in zip(TEXTS, labels, strict=True)]
    bits = score_examples(lm, examples).nats.sum() / math.log(2)
    assert 8 * len(data) == pytest.approx(bits, abs=17)
