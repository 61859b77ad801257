"""Any text over all of Unicode trains, scores, writes and compresses, and so do any labels and sources."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flaxchar
from flaxchar import Config, DataConfig, TextBatches
from flaxchar.data import Example, encode_corpus, make_corpus
from flaxchar.data.labels import label_key

# Characters that once stood for labels and sources, beside some that are rare: NUL, private-use planes, surrogates.
SPECIAL = "\0\ue000\U000f0000\U000f0001\U000f03e8\U0010ffff\ud800\udfff\n\r a"
ANY = st.text(st.one_of(st.sampled_from(SPECIAL), st.characters()), max_size=8)
KINDS = {
    "texts": st.builds(Example, ANY, st.none(), st.none()),
    "labels": st.builds(Example, ANY, ANY, st.none()),
    "classes": st.builds(Example, ANY, ANY, st.none()),
    "sources": st.builds(Example, ANY, st.none(), ANY),
}
SMALL = {"steps": 2, "hidden": 3, "embedding": 2, "buckets": 1, "batch_size": 4}


def examples_of(kind: str) -> st.SearchStrategy[list[Example]]:
    examples = st.lists(KINDS[kind].filter(lambda example: example.text.strip()), min_size=1, max_size=5)
    return examples.filter(labels_differ)


def labels_differ(examples: list[Example]) -> bool:
    """Whether no two labels are spellings of the same one, such as an empty one and a blank one: they are one class."""
    labels = {example.label for example in examples if example.label is not None}
    return len(set(map(label_key, labels))) == len(labels)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_example_comes_back_from_the_batches(kind, data):
    examples = data.draw(examples_of(kind))
    classify = kind == "classes"
    config = DataConfig(bos=False, val_fraction=0)
    corpus = make_corpus(examples, None, config, 0, classify=classify)
    encoded = encode_corpus(corpus, config)
    vocabulary = encoded.vocabulary
    batches = TextBatches(encoded.train, 2, vocabulary.eos, bos=False, buckets=2)
    names = dict(zip(vocabulary.label_ids, vocabulary.labels, strict=True))

    def read(ids: list[int]) -> Example:
        """The example that a row of a batch holds, ``<eos>`` cut off."""
        if kind == "sources":
            end = ids.index(vocabulary.source_end)
            return Example(vocabulary.decode(ids[end + 1 :]), source=vocabulary.decode(ids[:end]))
        if kind == "labels":
            return Example(vocabulary.decode(ids[1:]), names[ids[0]])
        if classify:
            return Example(vocabulary.decode(ids[:-2]), names[ids[-1]])
        return Example(vocabulary.decode(ids))

    rows = []
    for k in range(batches.steps_per_epoch):
        batch = batches.batch(k)
        for inputs, targets in zip(batch.inputs, batch.targets, strict=True):
            if inputs.any():
                row = np.concatenate([inputs[:1], targets])
                rows.append(read(row[: int(np.flatnonzero(row == vocabulary.eos)[0])].tolist()))
    assert sorted(rows, key=repr) == sorted(examples, key=repr)


def train_and_use(kind: str, examples: list[Example]) -> None:
    """Train for two steps, score, write and compress, as far as the kind of model can."""
    head = "classifier" if kind == "classes" else "language"
    lm = flaxchar.train(examples, config=Config().replace(val_fraction=0, head=head), **SMALL)
    example = examples[0]
    if kind == "classes":
        assert lm.classify([example.text]).labels[0] in lm.vocabulary.labels
        return
    assert lm.generate(label=example.label, source=example.source, size=6, num_samples=2)
    assert np.isfinite(lm.score(examples)).all()
    content = "".join(each.text for each in examples) if kind == "texts" else examples
    assert lm.decompress(lm.compress(content)) == content


@pytest.mark.parametrize(
    "kind", [kind if kind in ("sources", "classes") else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]
)
def test_special_characters_train_score_write_and_compress(kind):
    given = {
        "texts": [Example(SPECIAL), Example(SPECIAL[::-1])],
        "labels": [Example(SPECIAL, SPECIAL), Example(SPECIAL[::-1], "\0")],
        "classes": [Example(SPECIAL, SPECIAL), Example(SPECIAL[::-1], "\U000f03e8")],
        "sources": [Example(SPECIAL, source=SPECIAL), Example("\U000f03e8", source="")],
    }
    train_and_use(kind, given[kind])


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_any_example_trains_scores_writes_and_compresses(kind, data):
    train_and_use(kind, data.draw(examples_of(kind)))
