"""The texts of the page: every cell has its alternatives, and copies are cut where they begin and end."""

from __future__ import annotations

from flaxchar.insight.page_texts import PassagePainter, copied_texts, neuron_rows, sample_groups
from flaxchar.insight.report import make_report
from flaxchar.insight.written import Written


def test_every_cell_has_the_alternatives_of_its_positions(hostile_run):
    report = make_report(hostile_run)
    painter = PassagePainter(report)
    groups = painter.groups()
    texts = [text for group in groups for text in group["texts"]]
    assert [text["id"] for text in texts] == list(painter.alternatives)
    for text in texts:
        steps = painter.alternatives[text["id"]]
        assert len(steps) == len(text["cells"])
        for cell, shown in zip(text["cells"], steps, strict=True):
            assert len(shown) == cell.positions[1] - cell.positions[0]
            assert all(len(alternatives) == 5 for _, _, alternatives in shown)
    most, least = groups[1]["texts"], groups[2]["texts"]
    assert min(float(text["bits"]) for text in most) >= max(float(text["bits"]) for text in least)
    for row in neuron_rows(report):
        assert row["chance"] in ("0", "0.5")
        assert len(row["texts"]) == 2


def test_parts_of_copied_and_written_texts():
    (parts,) = copied_texts([Written("abcdef", copied=(2, 3))])
    assert parts == {"before": "ab", "copied": "cde", "after": "f"}
    ((group,),) = [sample_groups({0.8: [Written("a", "x" * 100)]})]
    assert len(group["texts"][0]["beginning"]) == 60
