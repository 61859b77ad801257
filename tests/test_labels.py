"""Texts with a class: given, never predicted; written for, and named."""

from __future__ import annotations

import csv
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flaxchar
from flaxchar import CharLM, Config, InputError, ModelConfig, TextBatches, init_params
from flaxchar.analysis.classify import class_nats, class_probabilities
from flaxchar.data.cache import load_encoded
from flaxchar.data.examples import Example
from flaxchar.models.lstm import lstm

RNG = np.random.default_rng(0)
ZERO = (jnp.zeros((1, 5)),) * 2
# Each class has letters of its own, and one in common.
ROWS = [(name, "".join(RNG.choice(list(letters), 12))) for name, letters in (("low", "abx"), ("high", "yzx")) * 60]
LEARN = ["--fields", "2", "--label-field", "1", "--steps", "300", "--hidden", "16", "--dropout", "0.2"]


def validated(config):
    config.validate()
    return config


def write_rows(path, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return str(path)


@pytest.fixture(scope="module")
def run(run_here, tmp_path_factory):
    """The folder of a run that learned the rows, and their file."""
    folder = tmp_path_factory.mktemp("labels")
    data = write_rows(folder / "rows.csv", ROWS)
    result = run_here("train", "--data", data, *LEARN, "--workdir", str(folder / "run"))
    assert result.returncode == 0, result.stderr
    assert "2 classes: 'low', 'high'" in result.stdout
    assert "--label low" in result.stdout
    return folder / "run", data


def test_the_class_is_fed_first_and_not_predicted(tmp_path):
    data = write_rows(tmp_path / "a.csv", [("low", "ab"), ("high", "c"), ("low", "")])
    config = Config().replace(data=(data,), fields=("2",), label_field="1", val_fraction=0)
    corpus, config = load_encoded(config)
    vocabulary = corpus.vocabulary
    assert vocabulary.labels == ("low", "high")
    low, high = vocabulary.label_ids
    a, b, c = (vocabulary.id_of(letter) for letter in "abc")
    assert [corpus.train[k].tolist() for k in range(2)] == [[low, a, b], [high, c]]
    assert not config.data.bos
    assert corpus.train_characters == 2 + 1 + 2  # the letters, and an end for each
    assert flaxchar.Vocabulary.from_dict(vocabulary.to_dict()) == vocabulary


def test_a_limited_vocabulary_keeps_the_classes():
    texts = [Example("aaabbb", label) for label in "xyz"]
    vocabulary = flaxchar.Vocabulary.build(texts, max_size=1)
    assert len(vocabulary.label_ids) == 3
    assert vocabulary.unknown not in vocabulary.label_ids


def test_json_lines_and_columns_by_name(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"text": "ab", "stars": stars}) + "\n" for stars in (5, 1)))
    corpus, _ = load_encoded(Config().replace(data=(str(path),), label_field="stars", val_fraction=0))
    assert corpus.vocabulary.labels == ("5", "1")
    table = write_rows(tmp_path / "b.csv", [("text", "kind"), ("ab", "k")])
    config = Config().replace(data=(table,), fields=("text",), label_field="kind", val_fraction=0)
    assert load_encoded(config)[0].vocabulary.labels == ("k",)


@pytest.mark.parametrize(
    ("name", "content", "settings", "message"),
    [
        ("a.txt", "a\n", {}, r"a.txt is plain text, which has no field for `label_field`"),
        ("a.jsonl", '{"text": "a"}\n', {}, r"line 1: there is no 'kind'; the keys are 'text'"),
        ("a.csv", "text\na\n", {"fields": ("text",)}, r"has no column 'kind'"),
        ("a.jsonl", "", {"window": 8}, r"`label_field` and `window` exclude each other"),
    ],
)
def test_what_has_no_class_is_told(tmp_path, name, content, settings, message):
    (tmp_path / name).write_text(content)
    config = Config().replace(data=(str(tmp_path / name),), label_field="kind", **settings)
    with pytest.raises(InputError, match=message):
        load_encoded(validated(config))


def test_texts_are_written_for_a_class(run):
    lm = flaxchar.load(run[0])
    for label, letters in (("low", "abx"), ("high", "yzx")):
        texts = lm.generate(label=label, num_samples=20, temperature=0.5)
        assert set("".join(texts)) <= set(letters)
    assert lm.generate("ab", label="low", size=4)[0].startswith("ab")
    assert len(lm.generate(label="low", size=4)[0]) <= 4
    assert "".join(lm.stream(label="high", seed=3)) == lm.generate(label="high", seed=3)[0]
    with pytest.raises(InputError, match=r"`label`: 'low', 'high'"):
        lm.generate()
    with pytest.raises(InputError, match=r"no label 'middle'; it knows 'low', 'high'"):
        lm.generate(label="middle")


def test_the_class_of_a_text_follows_by_bayes_rule(run):
    lm = flaxchar.load(run[0])
    texts = ["abxab", "zyzx", "xx"]
    nats = class_nats(lm, texts)
    for number, label in enumerate(lm.vocabulary.label_ids):
        for text, expected in zip(texts, nats[:, number], strict=True):
            ids = np.concatenate([[label], lm.vocabulary.encode(text)])
            logits, _ = lm.model.apply({"params": lm.params}, ids[None])
            targets = np.append(ids[1:], lm.vocabulary.eos)
            log = np.asarray(logits[0]) - np.logaddexp.reduce(np.asarray(logits[0]), axis=1, keepdims=True)
            assert expected == pytest.approx(-log[np.arange(len(ids)), targets].sum(), rel=1e-4)
    probabilities = class_probabilities(nats)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    assert probabilities[0, 0] > 0.95
    assert probabilities[1, 1] > 0.95
    mixed = -np.log(np.exp(-nats).mean(1)) / np.log(2) / [6, 5, 3]
    np.testing.assert_allclose(lm.score(texts), mixed, rtol=1e-5)


def test_classify_reports_and_names(run, run_here):
    path, data = run
    judged = run_here("classify", data, "--fields", "2", "--label-field", "1", "--workdir", str(path))
    assert judged.returncode == 0, judged.stderr
    assert "accuracy 100.0% on 120 texts" in judged.stdout
    assert "expected calibration error: 0.0" in judged.stdout
    named = run_here("classify", "--json", "--workdir", str(path), stdin=b"abab\nzz\n")
    records = [json.loads(line) for line in named.stdout.splitlines()]
    assert [record["label"] for record in records] == ["low", "high"]
    assert all(sum(record["probabilities"].values()) == pytest.approx(1, abs=1e-5) for record in records)


def test_a_model_without_classes_cannot_classify():
    lm = flaxchar.train(["ab", "ba"], steps=1, hidden=4)
    with pytest.raises(InputError, match="knows no labels"):
        class_nats(lm, ["a"])
    with pytest.raises(InputError, match="no label 'x'"):
        lm.generate(label="x")


@pytest.fixture(scope="module")
def classifier(run_here, tmp_path_factory):
    """The folder of a run that learned the rows' classes, and their file."""
    folder = tmp_path_factory.mktemp("classifier")
    data = write_rows(folder / "rows.csv", ROWS)
    result = run_here("train", "--data", data, *LEARN, "--head", "classifier", "--workdir", str(folder / "run"))
    assert result.returncode == 0, result.stderr
    assert "bits/text" in result.stdout
    assert "flaxchar classify FILE" in result.stdout
    return folder / "run", data


def test_a_classifier_is_asked_for_the_class_alone(tmp_path):
    data = write_rows(tmp_path / "a.csv", [("low", "ab"), ("high", "c")])
    config = Config().replace(data=(data,), fields=("2",), label_field="1", val_fraction=0, head="classifier")
    corpus, config = load_encoded(config)
    vocabulary = corpus.vocabulary
    low, high = vocabulary.label_ids
    batch = TextBatches(corpus.train, 2, vocabulary.eos, config.data.bos, buckets=1).batch(0)
    assert sorted(batch.targets[batch.mask].tolist()) == sorted([low, high])
    assert batch.mask.sum(1).tolist() == [1, 1]
    assert (batch.inputs[batch.mask] == vocabulary.source_end).all()
    assert corpus.train_characters == 2


def test_a_classifier_names_classes_and_is_sure_of_them(classifier, run_here):
    folder, data = classifier
    lm = flaxchar.load(folder)
    probabilities = class_probabilities(class_nats(lm, ["abab", "zyyz"]))
    assert probabilities[0, lm.vocabulary.labels.index("low")] > 0.9
    assert probabilities[1, lm.vocabulary.labels.index("high")] > 0.9
    result = run_here("classify", data, "--fields", "2", "--label-field", "1", "--workdir", str(folder))
    assert result.returncode == 0, result.stderr
    assert float(result.stdout.split("%")[0].removeprefix("accuracy ")) > 95


def test_what_a_classifier_says_depends_neither_on_padding_nor_on_the_rest_of_the_batch(classifier):
    lm = flaxchar.load(classifier[0])
    alone = class_nats(lm, ["ab"])
    together = class_nats(lm, ["ab", "zyxzyxzyxzyxzyxzyxzyxzyxzyxzyx", "x"])
    np.testing.assert_allclose(alone[0], together[0], atol=1e-5)


def test_a_classifier_reads_the_mean_of_its_states():
    model = CharLM(7, ModelConfig(hidden=5, head="classifier"))
    params = init_params(model, jax.random.key(0))
    ids = jnp.array([[1, 2, 3, 4]])
    states, _ = lstm(ids.T, *(params["lstm_0"][name] for name in ("kernel", "bias", "recurrent_kernel")), ZERO)
    expected = states[:, 0].mean(0) @ params["logits"]["kernel"] + params["logits"]["bias"]
    np.testing.assert_allclose(model.apply({"params": params}, ids)[0][0, -1], expected, atol=1e-5)


@pytest.mark.parametrize("command", ["sample", "score", "compress"])
def test_a_classifier_refuses_to_write_and_to_score(classifier, command, tmp_path, run_here):
    text = tmp_path / "text.txt"
    text.write_text("ab\n")
    files = () if command == "sample" else (str(text),)
    result = run_here(command, *files, "--workdir", str(classifier[0]))
    assert result.returncode == 2
    assert "names the label of a text" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_classifier_without_classes_is_an_error():
    with pytest.raises(InputError, match=r'`head="classifier"` needs `label_field`'):
        validated(Config().replace(head="classifier"))
