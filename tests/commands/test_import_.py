"""``flaxchar import``: a file of another program becomes a run, which every command takes."""

from __future__ import annotations

import pytest
from exports import random_model, same_params, vocabulary_file

import flaxchar


@pytest.fixture(scope="module")
def lm():
    return random_model(embedding=5)


@pytest.fixture
def weights(lm, tmp_path):
    lm.export(tmp_path / "keras", to="keras")
    vocabulary_file(tmp_path / "v.json", lm.vocabulary)
    return str(tmp_path / "keras" / "model.weights.h5")


def test_an_imported_run_is_a_normal_run(lm, weights, tmp_path, run_here):
    run = tmp_path / "run"
    result = run_here("import", weights, "--vocabulary", str(tmp_path / "v.json"), "--workdir", str(run), "--bos")
    assert result.returncode == 0, result.stderr
    first, *_, last = result.stdout.splitlines()
    assert first == f"{run}: <LanguageModel: lstm of 1 × 12 units, 20 ids>, 1,224 parameters"
    assert f"--init-from {run}" in last
    again = flaxchar.load(run)
    assert same_params(again, lm)
    assert again.config.data.bos
    written = run_here("sample", "--workdir", str(run), "--temperature", "0", "--num-samples", "1", "--size", "30")
    assert written.stdout == lm.generate(temperature=0, size=30)[0] + "\n"
    exported = run_here("export", str(run), "--to", "safetensors")
    assert exported.returncode == 0
    result = run_here("import", f"{run}.safetensors", "--workdir", str(tmp_path / "again"))
    assert result.returncode == 0, result.stderr
    assert flaxchar.load(tmp_path / "again").config == again.config


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"--vocabulary": "none.json"}, "none.json cannot be read: No such file"),
        ({"--vocabulary": ""}, "--vocabulary"),
        ({"--vocabulary": None}, "give the --vocabulary that it was trained with"),
        ({"file": "a.pt"}, "may hold a pickle"),
        ({"file": "none.h5"}, "none.h5 cannot be read: No such file"),
        ({"file": "../v.json"}, "another ending"),
        ({"--workdir": "keras"}, "is not empty and holds no run"),
        ({"--workdir": "v.json"}, "is a file, not a folder; name another folder as --workdir"),
    ],
    ids=str,
)
def test_bad_arguments_are_told_and_no_run_is_made(change, told, weights, tmp_path, run_here, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pt").write_bytes(b"\x80\x04.")
    (tmp_path / "x").mkdir()
    values = {"file": weights, "--vocabulary": "v.json", "--workdir": "run", **change}
    values["file"] = values["file"].replace("../", str(tmp_path) + "/")
    flags = [word for name, value in values.items() if name != "file" and value is not None for word in (name, value)]
    result = run_here("import", values["file"], *flags)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert told in result.stderr
    assert not (tmp_path / "run").exists()


def test_a_run_is_never_replaced(weights, lm, tmp_path, run_here):
    lm.save(tmp_path / "run")
    arguments = ("--vocabulary", str(tmp_path / "v.json"), "--workdir", str(tmp_path / "run"))
    result = run_here("import", weights, *arguments)
    assert result.returncode == 2
    assert "already holds a run; name another folder with --workdir" in result.stderr
