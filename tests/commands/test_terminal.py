"""Progress on a terminal: lines, evaluations, samples on one line."""

from __future__ import annotations

import signal

import pytest

from flaxchar.commands.terminal import SHOWN, ConsoleObserver, printable, shorten
from flaxchar.models.evaluation import Evaluation
from flaxchar.training.loop import Progress
from flaxchar.training.reporting import Report, Sample


@pytest.fixture
def observer(capsys, handlers):
    observer = ConsoleObserver(floor=0.5401)
    yield observer
    observer.close()


def test_an_evaluation_names_the_entropy_floor(observer, capsys):
    evaluation = Evaluation(loss=0.4185, bits_per_character=0.6037, accuracy=0.835, tokens=100)
    observer.evaluated(Report(863, 3452, 0.46, evaluation, (Sample("Today ", 0.0, "Today\nrain"),)))
    assert capsys.readouterr().out.splitlines() == [
        "epoch 0.46, step 863: held-out 0.6037 bits/char (entropy floor 0.5401), loss 0.4185, accuracy 83.5%",
        "  greedy  | Today\\nrain",
    ]


def test_what_nobody_knows_is_left_out(capsys):
    ConsoleObserver(floor=None).evaluated(Report(1, 2, 0.5))
    assert capsys.readouterr().out == "epoch 0.50, step 1: nothing held out\n"


def test_a_plain_line_says_loss_speed_and_what_is_left(observer, capsys):
    observer.planned(Report(0, 100, 0.0), steps_per_epoch=50)
    progress = Progress()
    progress.step, progress.nats, progress.tokens, progress.seconds = 10, 30.0, 20, 0.5
    observer.progressed(progress, 100, 2.164, 20_000)
    first, second = capsys.readouterr().out.splitlines()
    assert first == "training for 100 steps (2.0 epochs; --steps 100 repeats this run exactly)"
    assert second.startswith("step 10/100  loss 1.500  2.164 bits/char  40k chars/s  0:0")


def test_a_run_off_its_budget_says_how_long_it_will_take(observer, capsys):
    observer.off_budget(75.2, 60)
    assert capsys.readouterr().out == "the machine's speed has changed: this will take 1:15 instead of 1:00\n"


def test_parameters_in_reports_are_shown_as_flags(observer, capsys):
    observer.prepared(["decode them with `unescape_html`"])
    assert capsys.readouterr().out == "decode them with --unescape-html\n"


def test_a_signal_asks_to_stop_and_the_next_one_stops(observer):
    observer.planned(Report(0, 100, 0.0), steps_per_epoch=50)
    assert not observer.should_stop()
    signal.raise_signal(signal.SIGTERM)
    assert observer.should_stop()
    assert observer.interrupted == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == signal.getsignal(signal.SIGINT) == signal.SIG_DFL
    observer.close()
    assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL  # the process is about to end


def test_after_training_signals_are_handled_as_before(observer, handlers):
    observer.planned(Report(0, 100, 0.0), steps_per_epoch=50)
    assert signal.getsignal(signal.SIGHUP) == observer._interrupt
    observer.close()
    assert [signal.getsignal(number) for number in handlers] == list(handlers.values())


def test_texts_are_shown_on_one_line():
    assert printable("a\tb\u2028\x1b[2J") == "a\\tb\\u2028\\x1b[2J"
    assert shorten("x" * SHOWN) == "x" * SHOWN
    assert shorten("x" * (SHOWN + 1)) == "x" * SHOWN + "…"


@pytest.mark.parametrize(
    "text",
    [
        "a\u00a0b\u3000c\u202fd",
        "\u0915\u094d\u200d\u0937",
        "می\u200cخواهم",
        "\ue000\U000f0000",
        "so\u00adft",
        "👩\u200d👩\u200d👧",
        "שלום\u200f!",
    ],
)
def test_what_belongs_to_a_text_is_shown_as_it_is(text):
    assert printable(text) == text


def test_what_a_terminal_obeys_is_escaped():
    assert printable("\u202eabc\u2066\x85\ud83d\x7f") == "\\u202eabc\\u2066\\x85\\ud83d\\x7f"


@pytest.mark.parametrize("cluster", ["e\u0301\u0323", "👩\u200d👩\u200d👧", "\x1b", "\r\n", "각"])
def test_a_text_is_not_cut_within_what_looks_like_one_character(cluster):
    shown = printable(cluster)
    for before in range(SHOWN - 2 * len(shown), SHOWN + 2):
        text = "x" * before + cluster * 50
        assert shorten(text).removesuffix("…") == "x" * min(before, SHOWN) + shown * max(
            0, (SHOWN - before) // len(shown)
        )


def test_one_endless_cluster_is_cut():
    assert shorten("e" + "\u0301" * 1000) == "e" + "\u0301" * (SHOWN - 1) + "…"


def test_samples_are_printed_to_the_letter(observer, capsys):
    observer.evaluated(Report(1, 2, 0.5, None, (Sample("", 0.0, ":smile: [red]a[/red]"),)))
    assert capsys.readouterr().out.endswith("| :smile: [red]a[/red]\n")


def test_the_text_from_a_long_source_is_shown(capsys):
    source = "word " * 60 + "end → "
    ConsoleObserver(floor=None).evaluated(Report(1, 2, 0.5, None, (Sample(source, 0.0, source + "a headline"),)))
    assert "word … → a headline\n" in capsys.readouterr().out
