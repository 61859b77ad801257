"""Compressed files of somebody else: whatever they claim, they are refused soon, in one sentence."""

from __future__ import annotations

import time
import tracemalloc

import pytest
from forged import EXAMPLES, TEXT, damaged, forged_examples, forged_texts, packed
from helpers import untrained_model

from flaxchar import InputError

MODELS = {
    "text": {},
    "running text": {"window": 16},
    "words": {"unit": "word", "max_vocab": 4},
    "labels": {"labels": ("x", "y"), "bos": False},
    "sources": {"sources": True, "bos": False},
}


QUICK = ("text", "sources")


@pytest.fixture(
    scope="module",
    params=[name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in MODELS],
)
def lm(request):
    return untrained_model(["abc abd\n", "hello, world"], **MODELS[request.param])


def refusal(lm, file) -> str:
    """The sentence with which a file is refused; empty if it is restored."""
    try:
        lm.decompress(file)
    except InputError as error:
        return str(error)
    return ""


def test_forged_files_are_refused_soon(lm):
    conditional = bool(lm.vocabulary.labels) or lm.vocabulary.source_end is not None
    forged = forged_examples(lm) if conditional else forged_texts(lm)
    lm.decompress(lm.compress([] if conditional else "abc"))
    for name, body in forged.items():
        file = packed(lm, body, EXAMPLES if conditional else TEXT)
        began = time.process_time()
        told = refusal(lm, file)
        assert told, f"{name} was accepted"
        assert len(told) < 400, name
        assert "\n" not in told, name
        assert time.process_time() - began < 20, name
    wrong_kind = refusal(lm, packed(lm, next(iter(forged.values())), TEXT if conditional else EXAMPLES))
    assert "of the other kind" in wrong_kind


@pytest.mark.parametrize("name", ["exceptions of 200 MB", "4,611,686,018,427,387,904 tokens in noise"])
def test_a_refusal_takes_little_memory(name):
    lm = untrained_model(["abc abd\n", "hello, world"])
    file = packed(lm, forged_texts(lm)[name])
    tracemalloc.start()
    assert refusal(lm, file)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 150 << 20


def test_damaged_files_are_refused_even_with_the_right_checksum(lm):
    for number, file in enumerate(damaged(lm, 40)):
        assert refusal(lm, file), number


def test_a_text_that_the_model_is_sure_of_may_take_less_than_a_byte_for_many_characters():
    lm = untrained_model(["ab"])
    logits = lm.params["logits"]
    sure = logits["bias"].at[lm.vocabulary.id_of("a")].set(60)
    lm.params["logits"] = {"kernel": logits["kernel"] * 0, "bias": sure}
    text = "a" * 50_000
    coded = lm.compress(text)
    assert len(coded) < 60
    assert lm.decompress(coded) == text
