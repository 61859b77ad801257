"""Results of a comparison: names, table, files, picture."""

from __future__ import annotations

import json

from flaxchar.commands.comparison import Outcome, table, write_report

GOOD = Outcome({"cell": "gru", "learning_rate": 0.01}, 1234, 20, 3.4, 2.5, 2.25, ((10, 1.5, 2.75), (20, 3.4, 2.5)))
BETTER = GOOD._replace(settings={"cell": "lstm", "learning_rate": 0.01}, held_out=2.0)
FAILED = Outcome({"cell": "rnn", "learning_rate": 0.01}, failure="InputError: no room")


def test_the_name_is_the_combination():
    assert GOOD.name == "cell=gru_learning_rate=0.01"
    assert Outcome({}).name == "model"


def test_the_table_has_the_best_first_and_failures_last():
    header, _, *rows = table([FAILED, GOOD, BETTER])
    assert header == "| cell | learning rate | parameters | steps | seconds | held-out | training |"
    assert rows == [
        "| lstm | 0.01 | 1,234 | 20 | 3 | 2.0000 | 2.2500 |",
        "| gru | 0.01 | 1,234 | 20 | 3 | 2.5000 | 2.2500 |",
        "| rnn | 0.01 |  |  |  | InputError: no room |  |",
    ]


def test_the_report_is_written_also_if_everything_failed(tmp_path):
    for outcomes in ([FAILED], [FAILED, GOOD]):
        write_report(tmp_path, outcomes)
        assert [record["failure"] for record in json.loads((tmp_path / "compare.json").read_text())] == [
            outcome.failure for outcome in outcomes
        ]
        assert (tmp_path / "compare.png").read_bytes().startswith(b"\x89PNG")
        assert table(outcomes)[-1] in (tmp_path / "compare.md").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["compare.json", "compare.md", "compare.png"]


def test_the_comparison_links_to_the_reports_that_exist(tmp_path):
    outcomes = [Outcome({"cell": "gru"}, 10, 5, 1.0, 2.0, 2.0, ((5, 1.0, 2.0),)), Outcome({"cell": "rnn"}, failure="x")]
    write_report(tmp_path, outcomes)
    assert "Reports" not in (tmp_path / "compare.md").read_text()
    (tmp_path / "cell=gru").mkdir()
    (tmp_path / "cell=gru" / "report.html").touch()
    write_report(tmp_path, outcomes)
    assert "Reports: [cell=gru](cell%3Dgru/report.html)." in (tmp_path / "compare.md").read_text()
