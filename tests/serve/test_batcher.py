"""Texts of many people are written together, each as it would be alone, and nobody waits for anybody else."""

from __future__ import annotations

import queue
import threading
import time

import pytest
from helpers import PALINDROMES, untrained_model

import flaxchar
from flaxchar import LanguageModel
from flaxchar.generation.prompt import encode_prompt
from flaxchar.generation.sampling import Sampling
from flaxchar.serve import batcher as module
from flaxchar.serve.batcher import MOST_STREAMS, BusyError
from flaxchar.serve.decoding import ROWS
from flaxchar.serve.streams import Ended, Stream


class Reader:
    """One text and its reader."""

    def __init__(self, batcher, lm, prompt="", *, sampling=(), seed=0, size=60, label=None, source=None):
        self.events: queue.Queue = queue.Queue()
        begin = encode_prompt(lm, prompt, size, "error", label, source)
        self.prompt = begin.text
        self.stream = Stream(lm, begin, Sampling(*sampling), seed, self.events.put)
        batcher.open(self.stream)

    def read(self):
        """All tokens, and the end."""
        tokens = []
        while not isinstance(event := self.events.get(timeout=60), Ended):
            tokens += event
        return tokens, event

    def text(self):
        return self.prompt + "".join(token.text for token in self.read()[0])


SETTINGS = [(), (0.0,), (1.3,), (1.0, 3), (1.0, 0, 0.7), (1.0, 0, 1.0, 0.2), (0.7, 4, 0.9, 0.05)]
NAMES = ("temperature", "top_k", "top_p", "min_p")


def test_the_texts_are_those_of_generate(batcher, lm):
    readers = [
        (setting, seed, Reader(batcher, lm, "An", sampling=setting, seed=seed))
        for seed in range(3)
        for setting in SETTINGS
    ]
    for setting, seed, reader in readers:
        settings = dict(zip(NAMES, setting, strict=False))
        assert reader.text() == lm.generate("An", seed=seed, size=60, **settings)[0], (setting, seed)


def test_the_texts_for_a_label_and_of_running_text_are_those_of_generate(batcher, labelled, runs):
    for lm, given in ((labelled, {"label": "b"}), (flaxchar.load(runs["running"]), {})):
        readers = [Reader(batcher, lm, seed=seed, size=30, **given) for seed in range(4)]
        assert [reader.text() for reader in readers] == [lm.generate(seed=k, size=30, **given)[0] for k in range(4)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "given"),
    [
        ({"sources": True, "bos": False}, {"source": "Hannah"}),
        ({"unit": "word", "max_vocab": 8}, {}),
        ({"cell": "gru", "embedding": 4}, {}),
        ({"cell": "rnn", "layers": 3, "residual": True, "layer_norm": True}, {}),
        ({"cell": "mingru"}, {}),
        ({"cell": "minlstm"}, {}),
    ],
)
def test_the_texts_of_other_models_are_those_of_generate(batcher, settings, given):
    lm = untrained_model([*PALINDROMES, "To be, or not"], **settings)
    readers = [Reader(batcher, lm, seed=seed, size=30, **given) for seed in range(4)]
    assert [reader.text() for reader in readers] == [lm.generate(seed=k, size=30, **given)[0] for k in range(4)]


def test_a_long_prompt_is_fed_whole(batcher, lm):
    prompt = "To be, or not to be" * 3
    assert Reader(batcher, lm, prompt, size=80).text() == lm.generate(prompt, size=80)[0]


def test_alternatives_are_the_probabilities_that_a_trace_gives(batcher, lm):
    from flaxchar.insight.trace import trace

    tokens, end = Reader(batcher, lm, "An", sampling=(1.5,), seed=4, size=40).read()
    seen = trace(lm, "An" + "".join(token.text for token in tokens))
    for token, expected, bits in zip(tokens, seen.alternatives[2:], seen.bits[2:], strict=False):
        assert [text for text, _ in token.alternatives] == [text for text, _ in expected]
        assert [p for _, p in token.alternatives] == pytest.approx([p for _, p in expected], abs=1e-4)
        assert token.probability == pytest.approx(2**-bits, rel=1e-3)
    if end.reason == "eos":
        assert end.alternatives[0][0] == seen.alternatives[-1][0][0]


def test_a_text_ends_at_its_size_or_where_the_model_ends_it(batcher, lm):
    whole = lm.generate("An", size=200, seed=2, temperature=1.5)[0]
    assert len(whole) < 200
    tokens, end = Reader(batcher, lm, "An", size=200, seed=2, sampling=(1.5,)).read()
    assert (end.reason, len(tokens)) == ("eos", len(whole) - 2)
    tokens, end = Reader(batcher, lm, "An", size=4, seed=2, sampling=(1.5,)).read()
    assert (end.reason, len(tokens)) == ("size", 2)
    tokens, end = Reader(batcher, lm, "Anna", size=4).read()
    assert (end.reason, tokens) == ("size", [])


@pytest.fixture
def endless(lm):
    """A model that never ends a text."""
    logits = {**lm.params["logits"], "bias": lm.params["logits"]["bias"].at[lm.vocabulary.eos].set(-1e9)}
    return LanguageModel({**lm.params, "logits": logits}, lm.vocabulary, lm.config)


def test_a_reader_who_goes_frees_the_row(batcher, endless):
    readers = [Reader(batcher, endless, size=1_000_000) for _ in range(ROWS)]
    for reader in readers:
        reader.events.get(timeout=60)
    assert batcher.streams == ROWS
    for reader in readers:
        reader.stream.close()
    deadline = time.monotonic() + 10
    while batcher.streams and time.monotonic() < deadline:
        time.sleep(0.01)
    assert batcher.streams == 0
    assert not any(isinstance(event, Ended) for reader in readers for event in list(reader.events.queue))


def test_no_more_texts_than_the_limit_and_then_others_again(batcher, endless):
    readers = [Reader(batcher, endless, size=1_000_000) for _ in range(MOST_STREAMS)]
    with pytest.raises(BusyError, match=f"{MOST_STREAMS} texts are being written"):
        Reader(batcher, endless)
    for reader in readers[:2]:
        reader.stream.close()
    deadline = time.monotonic() + 20
    while batcher.streams >= MOST_STREAMS and time.monotonic() < deadline:
        time.sleep(0.01)
    assert Reader(batcher, endless, size=20).read()[1].reason == "size"


def test_a_job_runs_while_texts_are_written(batcher, endless):
    reader = Reader(batcher, endless, size=1_000_000)
    reader.events.get(timeout=60)
    assert batcher.submit(threading.get_ident).result(timeout=20) == batcher._thread.ident
    with pytest.raises(ZeroDivisionError):
        batcher.submit(lambda: 1 / 0).result(timeout=20)
    assert reader.events.get(timeout=20)


def test_no_more_jobs_than_the_limit(batcher, monkeypatch):
    monkeypatch.setattr(module, "MOST_JOBS", 2)
    gate = threading.Event()
    running = batcher.submit(gate.wait)
    while not running.running():
        time.sleep(0.001)
    batcher.submit(int)
    given_up = batcher.submit(int)
    with pytest.raises(BusyError):
        batcher.submit(int)
    given_up.cancel()
    gate.set()
    assert running.result(timeout=20)
    assert batcher.submit(int).result(timeout=20) == 0


def test_a_batch_that_fails_ends_its_texts_only(batcher, lm, endless, monkeypatch, caplog):
    other = Reader(batcher, endless, size=100_000)
    other.events.get(timeout=60)
    broken = LanguageModel(lm.params, lm.vocabulary, lm.config)
    broken.params = {**lm.params, "logits": {}}
    assert Reader(batcher, broken).read()[1].reason == "error"
    assert "has failed" in caplog.text
    assert not isinstance(other.events.get(timeout=20), Ended)
    assert Reader(batcher, lm, "An").text().startswith("An")


def test_closing_ends_every_text(lm, endless):
    own = module.Batcher()
    reader = Reader(own, endless, size=1_000_000)
    reader.events.get(timeout=60)
    own.close()
    assert reader.read()[1].reason == "closing"
    with pytest.raises(BusyError):
        Reader(own, lm)
    with pytest.raises(BusyError):
        own.submit(int)
