"""Reports of every kind of run: each part is there, or a sentence says why not."""

from __future__ import annotations

import pytest
from insight.conftest import save_run

from flaxchar import InputError, LanguageModel
from flaxchar.insight.findings import findings
from flaxchar.insight.page import render
from flaxchar.insight.report import make_report

LABELLED = [(f"{'good' if k % 2 else 'bad'} news {k}", "gb"[k % 2]) for k in range(64)]
PLAIN = [text for text, _ in LABELLED]
slow = pytest.mark.slow
KINDS = [
    pytest.param(PLAIN, None, {}, {"neurons", "contexts", "memories", "samples"}, id="plain"),
    pytest.param(LABELLED, "label", {"head": "classifier"}, {"classification", "class_neuron"}, id="classifier"),
    pytest.param(LABELLED, "label", {}, {"classification", "class_neuron", "contexts"}, id="labels", marks=slow),
    pytest.param(LABELLED, "source", {}, {"neurons", "samples", "memories"}, id="sources", marks=slow),
    pytest.param(PLAIN, None, {"unit": "word", "max_vocab": 5}, {"neurons", "contexts"}, id="words", marks=slow),
    pytest.param(PLAIN, None, {"cell": "rnn", "layers": 2}, {"neurons", "contexts"}, id="rnn", marks=slow),
    pytest.param(PLAIN, None, {"cell": "mingru"}, {"neurons", "memories"}, id="mingru", marks=slow),
    pytest.param(["abc def\n" * 1500], None, {"window": 16}, {"neurons", "contexts"}, id="running", marks=slow),
    pytest.param(PLAIN, None, {"val_fraction": 0.0}, {"samples", "embedding"}, id="nothing held out", marks=slow),
    pytest.param(
        ["".join(chr(0x4E00 + j * k % 3001) for j in (1, 2, 3)) for k in range(1, 3001)],
        None,
        {},
        {"contexts"},
        id="characters",
        marks=slow,
    ),
]


@pytest.mark.parametrize(("texts", "field", "settings", "parts"), KINDS)
def test_every_part_is_there_or_says_why_not(tmp_path, texts, field, settings, parts):
    report = make_report(save_run(tmp_path, texts, field, **settings))
    for part in parts:
        assert getattr(report, part), part
    page = render(report)
    assert len(page) < 3_000_000
    for sentence in report.absent.values():
        assert sentence.endswith(".")
        assert sentence[0].isupper()
    if not report.config.data.val_fraction:
        assert "No texts were held out" in page
    if report.config.model.cell == "rnn":
        assert "The cell rnn has no gates." in page
    if field == "source":
        assert "its context is never short" in page
    assert all(line and line == line.strip() for line in findings(report))


def test_the_class_is_searched_in_a_model_without_labels_if_a_field_is_named(tmp_path):
    path = save_run(tmp_path, LABELLED)
    report = make_report(path, "other")
    assert report.class_neuron.names == ("b", "g")
    assert report.classification is None
    with pytest.raises(InputError, match="nowhere"):
        make_report(path, "nowhere")


def test_a_model_from_python_says_that_its_texts_are_gone(tmp_path):
    path = save_run(tmp_path, PLAIN)
    lm = make_report(path).trained
    alone = LanguageModel(lm.params, lm.vocabulary, lm.config.replace(data=()))
    alone.save(tmp_path / "alone")
    report = make_report(tmp_path / "alone")
    assert report.samples
    assert "trained from Python" in report.absent["held_out"]
    assert "trained from Python" in render(report)
    with pytest.raises(InputError, match="`label_field` has no use here"):
        make_report(tmp_path / "alone", "other")
