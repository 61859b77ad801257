"""The end of a training: the result, its baselines, and what is said where there is none or a run ended early."""

from __future__ import annotations

import re
import signal

import pytest
from helpers import SMALL

from flaxchar.commands.signals import Interrupted


def test_the_result_stands_last_among_its_baselines(texts, tmp_path, run_here):
    result = run_here("train", "--data", texts, "--workdir", str(tmp_path / "run"), "--steps", "20", *SMALL)
    (best,) = re.findall(r"best checkpoint: step 20, held-out ([\d.]+) bits/char", result.stdout)
    table = re.findall(r"^ +([\d.]+)  (\S.*)$", result.stdout, re.M)
    assert table[0][1] == "uniform"
    assert table[-1] == (best, "this model")
    assert {"unigram", "Kneser-Ney 3-gram"} <= {name for _, name in table}


@pytest.mark.parametrize(("others", "told"), [({"uniform": 9.0, "bz2": 0.5}, ["bz2"]), ({"uniform": 99.0}, [])])
def test_a_model_behind_a_simple_one_is_told_so(texts, tmp_path, run_here, monkeypatch, others, told):
    monkeypatch.setattr("flaxchar.training.run_directory.Run.baselines", lambda run, compute: others)
    result = run_here("train", "--data", texts, "--workdir", str(tmp_path / "run"), "--steps", "2", *SMALL)
    assert re.findall(r"^(\S+) predicts these texts better than this model", result.stdout, re.M) == told


def test_a_signal_during_the_baselines_leaves_a_complete_run(texts, tmp_path, run_here, monkeypatch):
    def interrupt(*_):
        raise Interrupted(signal.SIGINT)

    command = ("train", "--data", texts, "--workdir", str(tmp_path / "run"), "--steps", "2", *SMALL)
    with monkeypatch.context() as patch:
        patch.setattr("flaxchar.training.run_directory.Run.baselines", interrupt)
        result = run_here(*command)
    assert result.returncode == 130
    assert "the run is complete; only its baselines are missing" in result.stdout
    assert result.stderr.endswith("flaxchar: interrupted\n")
    assert "unigram" in run_here(*command).stdout


def test_without_held_out_texts_the_end_says_so(texts, tmp_path, run_here):
    arguments = ("--data", texts, "--workdir", str(tmp_path / "run"), "--steps", "2", "--val-fraction", "0", *SMALL)
    result = run_here("train", *arguments)
    assert "done at step 2; nothing was held out to evaluate on" in result.stdout
    assert "this model" not in result.stdout


def test_a_run_that_patience_ends_says_so(texts, tmp_path, run_here):
    rate = ("--learning-rate", "1e-12", "--schedule", "constant", "--patience", "1", "--epochs", "8")
    result = run_here("train", "--data", texts, "--workdir", str(tmp_path / "run"), *rate, *SMALL)
    assert re.search(r"stopped early at step [\d,]+ of [\d,]+: 1 evaluation without a better result", result.stdout)
