"""``flaxchar novelty``: what of the samples stands in the training texts."""

from __future__ import annotations

import pytest

from flaxchar.analysis.novelty import TextIndex, measure_novelty
from flaxchar.commands.novelty import _print_report, novelty
from flaxchar.config import InputError
from flaxchar.data.headlines import generate_headlines


@pytest.fixture(scope="module")
def run(run_here, tmp_path_factory):
    """The folder of a small trained run, and the file it learned from."""
    folder = tmp_path_factory.mktemp("scoring")
    data = folder / "texts.txt"
    data.write_text("".join(text + "\n" for text in generate_headlines(300, seed=4)))
    flaxchar_run = folder / "run"
    arguments = (
        "--data",
        str(data),
        "--steps",
        "30",
        "--hidden",
        "8",
        "--buckets",
        "1",
        "--workdir",
        str(flaxchar_run),
    )
    assert run_here("train", *arguments).returncode == 0
    return flaxchar_run, data


def test_novelty_tells_what_stands_in_the_training_texts(run, run_here):
    path, data = run
    result = run_here("novelty", "--workdir", str(path), "--num-samples", "20")
    assert result.returncode == 0, result.stderr
    assert "20 samples compared with 285 training texts" in result.stdout
    data.rename(data.with_suffix(".away"))
    gone = run_here("novelty", "--workdir", str(path))
    data.with_suffix(".away").rename(data)
    assert gone.returncode == 2
    assert len(gone.stderr.splitlines()) == 1


def test_missing_texts_are_named_before_the_kernel_is_compiled(run, monkeypatch):
    path, data = run
    monkeypatch.setattr("flaxchar.commands.process.set_up", lambda devices=None: None)
    monkeypatch.setattr("flaxchar.commands.process.start_kernel", lambda devices=None: pytest.fail("compiled"))
    data.rename(data.with_suffix(".away"))
    with pytest.raises(InputError, match=r"texts\.txt"):
        novelty(["--workdir", str(path)])
    data.with_suffix(".away").rename(data)


def test_a_short_sample_that_is_copied_as_a_whole_does_not_stand_on_top(capsys):
    samples = ["Rain", "Storms hit the coast of the north today", "Sun"]
    _print_report(samples, measure_novelty(samples, TextIndex(["Rain", "Sunny", "Storms hit the coast again"])), 3)
    listed = capsys.readouterr().out.splitlines()[-6:]
    assert [line.split("  ")[2] for line in listed[:3]] == [samples[1], samples[0], samples[2]]
