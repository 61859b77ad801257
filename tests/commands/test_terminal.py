"""Progress on a terminal: lines, evaluations, samples on one line."""

from __future__ import annotations

import io
import signal

import pytest
from helpers import fake_clock
from rich.console import Console

from flaxchar.commands.output import printable
from flaxchar.commands.terminal import SHOWN, ConsoleObserver, shorten
from flaxchar.hardware import Hardware, described_as
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


class Terminal(io.StringIO):
    def isatty(self):
        return True


def on_a_terminal(observer, term="xterm"):
    """Let an observer print to an emulated terminal; returns what holds all that is written to it."""
    screen = Terminal()
    observer.console = Console(
        file=screen, width=60, highlight=False, markup=False, emoji=False, soft_wrap=True, force_terminal=True,
        legacy_windows=False, _environ={"TERM": term},
    )  # fmt: skip
    return screen


def train_a_little(observer):
    observer.planned(Report(0, 100, 0.0), steps_per_epoch=50)
    observer.progressed(Progress(step=10, nats=30.0, tokens=20, seconds=0.5), 100, 2.164, 20_000)
    for step in (20, 30):
        observer.evaluated(Report(step, 100, 0.5, None, (Sample("", 0.8, f"Rain \x1b[2J {step}"),)))
        observer.progressed(Progress(step=step + 1, nats=20.0, tokens=20, seconds=0.5), 100, 1.5, 20_000)


def test_on_a_terminal_the_newest_sample_is_shown_in_place_and_stays_at_the_end(handlers):
    observer = ConsoleObserver(floor=None)
    screen = on_a_terminal(observer)
    train_a_little(observer)
    before = screen.getvalue()
    assert "▁" in before
    assert "0:0" in before
    assert "Rain \\x1b[2J 30" in before
    assert "\x1b[2J" not in before
    observer.close()
    end = screen.getvalue()[len(before) :]
    assert end.endswith("\r\x1b[1A\x1b[2K\x1b[1A\x1b[2K\x1b[1A\x1b[2K\x1b[1A\x1b[2K  T = 0.8 | Rain \\x1b[2J 30\n")
    assert end.count("\x1b[?25h") == 1  # the cursor is shown again


@pytest.mark.parametrize("how", ["a file", "a dumb terminal", "quiet"])
def test_elsewhere_there_are_plain_lines_without_control_sequences(handlers, how, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # asks for colours, not for a display that is redrawn
    observer = ConsoleObserver(floor=None, quiet=how == "quiet")
    screen = on_a_terminal(observer, "dumb") if how == "a dumb terminal" else None
    train_a_little(observer)
    observer.close()
    shown = capsys.readouterr().out if screen is None else screen.getvalue()
    assert "\x1b" not in shown
    assert shown.count("Rain") == (0 if how == "quiet" else 2)


@pytest.mark.usefixtures("as_on_a_cpu")
def test_a_gpu_compiles_for_seconds_and_says_so(capsys, monkeypatch):
    clock = fake_clock(monkeypatch, ConsoleObserver.__module__)
    observer = ConsoleObserver(None)
    observer.compiling(0, 2)
    assert capsys.readouterr().out == ""  # on a CPU
    with described_as(Hardware("gpu", "NVIDIA H200")):
        observer.compiling(0, 2)
        clock[0] = 3.0
        observer.compiling(1, 2)
    assert capsys.readouterr().out == "compiling 2 programs for NVIDIA H200\n  1 of 2 after 3 s\n"
