"""Bodies of compressed files: what they claim is bounded by their length (attacks: tests/test_forged_files.py)."""

from __future__ import annotations

import pytest
from helpers import untrained_model

from flaxchar.analysis.bodies import Undecodable, compress_text, decompress_text
from flaxchar.analysis.packing import Damaged, varint
from flaxchar.analysis.token_coder import most_tokens


@pytest.fixture(scope="module")
def lm():
    return untrained_model(["abc", "hello"])


def test_a_body_comes_back(lm):
    for text in ("", "abc", "abc\nZoë\nhello" * 20):
        assert decompress_text(lm, compress_text(lm, text)) == text


def test_a_claim_that_no_model_could_code_is_refused_before_decoding(lm):
    most = most_tokens(3, lm.vocabulary.size)
    with pytest.raises(Damaged, match="tokens in 3 bytes, which hold at most"):
        decompress_text(lm, varint(most + 1) + varint(0) + b"abc")


def test_decoding_ends_with_the_code(lm):
    with pytest.raises(Undecodable, match=r"ends before its content|stands for nothing"):
        decompress_text(lm, varint(10**6) + varint(0) + b"abc")
    with pytest.raises(Undecodable, match="goes on after its content"):
        decompress_text(lm, compress_text(lm, "abc") + bytes(20))
