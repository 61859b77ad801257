"""Generated texts: the prompt and the size hold, and a sample depends on nothing but its seed and number."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import PALINDROMES as NAMES

import flaxchar
from flaxchar.generation.generate import generate
from flaxchar.generation.sampling import Sampling
from flaxchar.kernels import build


@pytest.fixture(scope="module")
def lm():
    return flaxchar.train(NAMES * 4, steps=60, hidden=16, val_fraction=0, seed=1)


@pytest.fixture(params=["native", "jax"], autouse=True)
def loop(request, monkeypatch):
    """Each version of the decode loop."""
    if request.param == "jax":
        monkeypatch.setattr(build, "available", lambda: False)
    elif not build.available():
        pytest.skip(f"the native kernel is not available: {build.status()}")


def reference(lm, prompt, size, bos=True):
    """The most probable text, by reading the whole text again for each character."""
    eos = lm.vocabulary.eos
    ids = [eos] * bos + lm.vocabulary.encode(prompt).tolist()
    while len(ids) < size + bos:
        padded = jnp.array([ids + [0] * (size + 1 - len(ids))])
        logits, _ = lm.model.apply({"params": lm.params}, padded)
        best = int(logits[0, len(ids) - 1, 1:].argmax()) + 1
        if best == eos:
            break
        ids.append(best)
    return lm.vocabulary.decode(ids[bos:])


@pytest.mark.parametrize("prompt", ["", "H", "Ott", "Anna"])
def test_temperature_0_is_the_most_probable_text(lm, prompt):
    assert lm.generate(prompt, temperature=0, size=40) == [reference(lm, prompt, 40)]


def test_top_k_1_is_greedy(lm):
    assert lm.generate("A", top_k=1, temperature=1.5, num_samples=3) == lm.generate("A", temperature=0) * 3


def test_a_sample_depends_on_seed_and_number_alone(lm):
    many = lm.generate("A", temperature=1.3, num_samples=40, seed=3)
    assert len(set(many)) > 5
    for count in (1, 2, 7, 16, 17):
        assert lm.generate("A", temperature=1.3, num_samples=count, seed=3) == many[:count]
    assert lm.generate("A", temperature=1.3, num_samples=40, seed=4) != many


def test_a_larger_size_goes_on_with_the_same_text(lm):
    short = lm.generate("", temperature=2.0, size=5, num_samples=20)
    long = lm.generate("", temperature=2.0, size=200, num_samples=20)
    assert all(whole.startswith(part) and len(part) <= 5 for part, whole in zip(short, long, strict=True))


def test_texts_begin_with_the_prompt_and_never_hold_padding(lm):
    for text in lm.generate("Ha", temperature=50.0, num_samples=64, size=30):  # almost uniform over the vocabulary
        assert text.startswith("Ha")
        assert len(text) <= 30
        assert set(text) <= set("".join(NAMES))


@pytest.mark.parametrize("size", [1, 2, 62, 63, 64, 65, 300])
def test_size_is_the_longest_text(lm, size):
    """A model that never ends its texts writes exactly this much."""
    kernel, bias = lm.params["logits"]["kernel"], lm.params["logits"]["bias"]
    endless = {**lm.params, "logits": {"kernel": kernel, "bias": bias.at[lm.vocabulary.eos].set(-1e9)}}
    model = flaxchar.LanguageModel(endless, lm.vocabulary, lm.config)
    assert [len(text) for text in model.generate("A", size=size, num_samples=2)] == [size, size]
    assert len("".join(model.stream("A", size=size))) == size


@pytest.mark.parametrize("sample", [0, 3, 18])
def test_streaming_gives_the_same_text_in_pieces(lm, sample):
    pieces = list(lm.stream("A", temperature=2.0, size=100, seed=5, sample=sample))
    assert pieces[0] == "A"
    assert "".join(pieces) == lm.generate("A", temperature=2.0, size=100, seed=5, num_samples=sample + 1)[sample]


def test_each_character_is_drawn_anew(lm):
    """Where all characters are equally probable, a text is noise: no letter, and no pair, stands out."""
    flat = jax.tree.map(jnp.zeros_like, lm.params)
    flat["logits"]["bias"] = flat["logits"]["bias"].at[lm.vocabulary.eos].set(-1e9)
    texts = flaxchar.LanguageModel(flat, lm.vocabulary, lm.config).generate(temperature=1, size=2000, num_samples=3)
    letters = len(lm.vocabulary.tokens)
    for text in texts:
        counts = np.array([text.count(token) for token in lm.vocabulary.tokens])
        assert ((counts - 2000 / letters) ** 2 / (2000 / letters)).sum() < 3 * letters  # chi squared, far out
        repeats = sum(a == b for a, b in zip(text, text[1:], strict=False))
        assert abs(repeats - 2000 / letters) < 5 * (2000 / letters) ** 0.5
    assert len(set(texts)) == 3


def test_prompts_are_continued_each_in_its_own_way(lm):
    flat = jax.tree.map(jnp.zeros_like, lm.params)
    flat["logits"]["bias"] = flat["logits"]["bias"].at[lm.vocabulary.eos].set(-1e9)
    noise = flaxchar.LanguageModel(flat, lm.vocabulary, lm.config)
    one, other = (noise.generate(prompt, size=100)[0][1:] for prompt in "AB")
    assert sum(a == b for a, b in zip(one, other, strict=True)) < 30


def test_without_bos_the_prompt_is_fed_alone():
    lm = flaxchar.train(NAMES, steps=20, hidden=8, val_fraction=0, bos=False)
    assert lm.generate("An", temperature=0, size=12) == [reference(lm, "An", 12, bos=False)]
    assert isinstance(lm.generate(temperature=1.0)[0], str)


def test_the_unknown_word_is_never_written():
    texts = ["one two three four five six seven"] * 5
    lm = flaxchar.train(texts, unit="word", max_vocab=3, steps=5, hidden=8, val_fraction=0)
    unknown = lm.vocabulary.unknown
    assert unknown in lm.vocabulary.encode("seven")  # it is learned,
    written = lm.generate(temperature=5.0, size=50, num_samples=20)
    assert set("".join(written)) <= set("one two")  # yet never drawn
    assert lm.generate("zebra ", size=9)[0].startswith("zebra ")
    assert lm.generate("zebra one", unknown="drop", size=9)[0].lstrip().startswith("one")


@pytest.mark.parametrize("loop", ["native"], indirect=True)
@pytest.mark.parametrize(
    ("layers", "hidden", "ids"), [(2, 20, 30), *(pytest.param(1, 16, ids, marks=pytest.mark.slow) for ids in (30, 300))]
)
def test_both_loops_draw_the_same_texts(layers, hidden, ids, loop, monkeypatch):
    """The same keys, the same noise: only a rounding error could tell the two apart."""
    model = flaxchar.CharLM(ids, flaxchar.ModelConfig(hidden=hidden, layers=layers))
    params = flaxchar.init_params(model, jax.random.key(3))
    vocabulary = flaxchar.Vocabulary(tuple(map(chr, range(0x4E00, 0x4E00 + ids - 2))))
    prompt = np.array([3, 1], np.int32)
    ways = (
        Sampling(0.8),
        Sampling(0.0),
        Sampling(1.2, top_k=5),
        Sampling(1.0, top_p=0.7),
        Sampling(1.5, 8, 0.9),
        Sampling(1.5, min_p=0.1),
    )
    native_texts = [generate(model, params, vocabulary, prompt, 20, 60, 5, sampling) for sampling in ways]
    monkeypatch.setattr(build, "available", lambda: False)
    for ours, sampling in zip(native_texts, ways, strict=True):
        theirs = generate(model, params, vocabulary, prompt, 20, 60, 5, sampling)
        same = sum(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
        assert same >= 19, sampling
        assert {text.dtype for text in ours + theirs} == {np.dtype(np.int32)}
