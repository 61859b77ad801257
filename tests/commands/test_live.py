"""The live display of a training: it fits the terminal, and shows what is newest."""

from __future__ import annotations

import io
import re

import pytest
from rich.cells import cell_len
from rich.console import Console

from flaxchar.commands import live
from flaxchar.commands.live import LiveDisplay, sparkline

SAMPLES = ["greedy | " + "Today " * 40, "T = 0.8 | 漢字かな交じり文 e\u0301 👩\u200d👩\u200d👧 שלום " * 5]


def make(width, encoding="utf-8"):
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)
    console = Console(file=file, width=width, height=20, force_terminal=True, color_system=None, legacy_windows=False)
    return LiveDisplay(console, steps=1000, per="char"), console


def lines(display, console):
    with console.capture() as shown:
        console.print(display)
    return shown.get().rstrip("\n").split("\n")


@pytest.mark.parametrize("width", [80, 40, 20, 8])
def test_every_line_fits_the_width_and_leaves_room_for_control_c(width):
    display, console = make(width)
    display.samples = SAMPLES
    for step in range(1, 200):
        display.update(step, 6 / step, "loss 2.345  3.456 bits/char  123k chars/s", "0:12 left")
    shown = lines(display, console)
    if width >= 20:
        assert all(cell_len(line.rstrip()) <= width - 3 for line in shown)
    assert len(shown) == 5


def test_it_shows_progress_loss_and_samples():
    display, console = make(60)
    display.samples = ["greedy | Today"]
    for bits in (4.0, 2.0, None, 1.0):
        display.update(500, bits, "loss 0.693", "0:12 left")
    progress, figures, losses, sample = (line.rstrip() for line in lines(display, console))
    assert re.fullmatch(r"step 500/1,000 [━╸╺ ]+ 0:12 left", progress)
    assert figures == "loss 0.693"
    assert losses == "4.000 █▅▁ 1.000 bits/char"
    assert sample == "greedy | Today"


def test_a_terminal_without_blocks_gets_no_sparkline():
    display, console = make(60, "ascii")
    for bits in (4.0, 1.0):
        display.update(1, bits, "loss", "left")
    assert "\n".join(lines(display, console)).isascii()


def test_many_losses_become_means(monkeypatch):
    monkeypatch.setattr(live, "_MOST_LOSSES", 8)
    display, _ = make(60)
    for step in range(1, 101):
        display.update(step, float(step), "", "")
    assert len(display._losses) < 8
    assert sum(count for _, count in display._losses) == 100
    assert sum(mean * count for mean, count in display._losses) == pytest.approx(5050)
    assert [mean for mean, _ in display._losses] == sorted(mean for mean, _ in display._losses)


def test_a_sparkline_is_logarithmic():
    assert sparkline([128, 64, 32, 16, 8, 4, 2, 1], width=8) == "█▇▆▅▄▃▂▁"
    assert sparkline([3, 5, 1, 1], width=2) == "█▁"
    assert sparkline([2.0, 2.0], width=10) == "▁▁"


def test_afterwards_the_display_is_gone_and_the_cursor_is_shown():
    display, console = make(60)
    display.start()
    display.update(1, 2.0, "loss", "0:12 left")
    display.stop()
    written = console.file.buffer.getvalue().decode()
    assert written.startswith("\x1b[?25l")
    after = written[written.rindex("\x1b[?25h") :]
    assert after.count("\x1b[1A\x1b[2K") == 2  # back up over both lines, which are erased
    assert not re.search(r"[a-z]{4}", after)
