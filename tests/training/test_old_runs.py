"""Runs of format 1, written by flaxchar 0.1.0: finished ones load, unfinished ones go on or are refused.

``expected.json`` holds the scores, greedy texts and probabilities of the version that wrote them.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

import flaxchar
from flaxchar import Config, InputError
from flaxchar.data.cache import encode_corpus
from flaxchar.data.corpus import make_corpus
from flaxchar.data.spelling import Spelling
from flaxchar.training.reporting import Observer
from flaxchar.training.run_directory import Run
from flaxchar.training.session import train_corpus

NAMES = ["Anna", "Otto", "Hannah", "Bob", "Eve", "Ada", "Lil", "Viv", "Aviva", "Elle"]
NAMES += [f"{a} {b}" for a in NAMES for b in NAMES if a != b]
# The settings of the unfinished run; and what its model scores and writes when the version that began it finishes it.
CONFIG = Config().replace(
    hidden=4, embedding=3, steps=30, batch_size=4, buckets=2, val_fraction=0.2, optimizer="adam", window=0
)
FINISHED = {"score": [3.8965071806636553, 4.339867998042803], "greedy": "Aaa"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("format_1")
    with zipfile.ZipFile(Path(__file__).parent.parent / "fixtures" / "runs_format_1.zip") as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def expected(runs):
    return json.loads((runs / "expected.json").read_text())


@pytest.mark.parametrize("name", ["plain", "words", "labelled"])
def test_a_model_gives_the_scores_of_its_own_version(runs, expected, name):
    np.testing.assert_allclose(flaxchar.load(runs / name).score(["Anna", "Bob"]), expected[name]["score"], rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "prompt", "settings"),
    [("plain", "A", {}), ("words", "", {}), ("labelled", "A", {"label": "m"}), ("sourced", "A", {"source": "annA!"})],
)
def test_a_model_writes_the_texts_of_its_own_version(runs, expected, name, prompt, settings):
    (text,) = flaxchar.load(runs / name).generate(prompt, temperature=0, **settings)
    assert text == expected[name]["greedy"]


def test_random_texts_and_the_likeliest_are_those_of_their_own_version(runs, expected):
    assert flaxchar.load(runs / "plain").generate(num_samples=3, seed=1) == expected["plain"]["sampled"]
    assert flaxchar.load(runs / "sourced").likeliest("A", source="annA!") == expected["sourced"]["likeliest"]


@pytest.mark.parametrize("name", ["labelled", "classifier"])
def test_a_model_gives_labels_the_probabilities_of_its_own_version(runs, expected, name):
    probabilities = flaxchar.load(runs / name).classify(["Anna", "Bob"]).probabilities
    np.testing.assert_allclose(probabilities, expected[name]["probabilities"], rtol=1e-4)


def test_an_unfinished_run_goes_on_to_the_result_of_the_version_that_began_it(runs, tmp_path):
    path = shutil.copytree(runs / "unfinished", tmp_path / "unfinished")
    begun = []

    class Begins(Observer):
        def planned(self, at, steps_per_epoch):
            begun.append((at.step, at.steps))

    corpus = encode_corpus(make_corpus(NAMES, None, CONFIG.data, 0), CONFIG.data)
    train_corpus(corpus, CONFIG, path, Begins())
    assert begun == [(10, 30)]
    lm = flaxchar.load(path)
    np.testing.assert_allclose(lm.score(["Anna", "Bob"]), FINISHED["score"], rtol=1e-4)
    assert lm.generate("A", temperature=0) == [FINISHED["greedy"]]


def test_words_are_cut_as_by_the_version_that_made_their_vocabulary(runs, tmp_path):
    vocabulary = Run.open(runs / "words").vocabulary
    assert vocabulary.word_rule == "runs"
    assert vocabulary.tokenize("don't") == ["don", "'", "t"]
    config = Config().replace(unit="word", hidden=4, steps=4, val_fraction=0)
    corpus = make_corpus(["I don't", "you do"], None, config.data, 0)
    new, like_old = encode_corpus(corpus, config.data), encode_corpus(corpus, config.data, like=vocabulary)
    assert (new.vocabulary.word_rule, new.vocabulary.spelling) == ("uax29", Spelling(()))
    assert (like_old.vocabulary.word_rule, like_old.vocabulary.spelling) == ("runs", None)
    train_corpus(like_old, config, tmp_path / "r")  # as an older version began it
    train_corpus(like_old, config, tmp_path / "r")
    flaxchar.train(["I don't", "you do"], workdir=tmp_path / "r", config=config)
    with pytest.raises(InputError, match=r"cut words otherwise.*`fresh`"):
        train_corpus(new, config, tmp_path / "r")


@pytest.mark.parametrize("name", ["labelled", "sourced", "classifier"])
def test_texts_with_labels_or_sources_that_hash_otherwise_are_refused_with_the_version_that_finishes_them(runs, name):
    """The hash of such texts changed with format 2."""
    run = Run.open(runs / name)
    with pytest.raises(
        InputError, match=r"^[^.;]*older version[^.;]*; finish it with flaxchar 0\.1\.0 at commit bf90fbd"
    ):
        run.check_texts({"sha256": "another"})
    run.check_texts({"sha256": run.record["texts"]["sha256"]})


def test_plain_texts_that_hash_otherwise_have_changed(runs):
    with pytest.raises(InputError, match="the texts have changed"):
        Run.open(runs / "unfinished").check_texts({"sha256": "another"})


def test_a_run_of_a_later_format_is_refused(runs, tmp_path):
    path = shutil.copytree(runs / "plain", tmp_path / "later")
    record = json.loads((path / "config.json").read_text()) | {"format": 3}
    (path / "config.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="was not written by this version"):
        Run.open(path)
