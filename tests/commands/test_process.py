"""Set-up of a command's process: what is set, and what of the user's is respected."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from helpers import ROOT, environment, python

from flaxchar.commands import process
from flaxchar.config import InputError


def settings_after_set_up(program: str, **variables: str) -> dict:
    """JAX's settings, and the process' own, after a set-up in a new process."""
    return json.loads(
        python(
            "import json, os\nfrom flaxchar.commands import process\n" + program + "\nimport jax\n"
            "print(json.dumps({'cache': jax.config.jax_compilation_cache_dir, 'devices': jax.device_count(),"
            "'threads': os.environ.get('NPROC'), 'flags': os.environ.get('XLA_FLAGS', '')}))",
            **variables,
        ).splitlines()[-1]
    )


def test_compiled_programs_are_kept_in_the_users_cache(tmp_path):
    settings = settings_after_set_up("process.set_up()", XDG_CACHE_HOME=str(tmp_path), JAX_PLATFORMS="cpu")
    assert settings["cache"].startswith(str(tmp_path / "flaxchar" / "compiled"))
    assert settings["devices"] == 1
    elsewhere = str(tmp_path / "mine")
    settings = settings_after_set_up(
        "process.set_up()", XDG_CACHE_HOME=str(tmp_path), JAX_COMPILATION_CACHE_DIR=elsewhere, JAX_PLATFORMS="cpu"
    )
    assert settings["cache"] == elsewhere


def test_the_cpu_is_divided_into_devices_of_one_thread(tmp_path):
    settings = settings_after_set_up("process.set_up(3)", XDG_CACHE_HOME=str(tmp_path), JAX_PLATFORMS="cpu")
    assert settings["devices"] == 3
    assert "--xla_cpu_multi_thread_eigen=false" in settings["flags"]
    assert int(settings["threads"]) >= 6


def test_setting_up_prints_nothing_and_compiles_nothing(tmp_path):
    program = "from flaxchar.commands import process\nprocess.set_up()"
    assert python(program, XDG_CACHE_HOME=str(tmp_path)) == ""
    assert not list(tmp_path.rglob("*.so"))


def test_a_folder_without_a_model_is_reported_before_anything_is_compiled(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "set_up", lambda: None)
    monkeypatch.setattr(process, "start_kernel", lambda: pytest.fail("compiled"))
    with pytest.raises(InputError, match="there is no folder"):
        process.load_model(str(tmp_path / "missing"))


def test_a_job_that_nothing_tells_about_is_an_error(monkeypatch):
    def initialize(*job):
        raise ValueError("coordinator_address should be defined.\nMore words.")

    monkeypatch.setattr("jax.distributed.initialize", initialize)
    with pytest.raises(InputError, match=r"cannot be found \(coordinator_address should be defined"):
        process.join(process.Job())


def test_a_mistyped_folder_names_the_runs_that_may_be_meant(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "set_up", lambda: None)
    for name in ("titles", "names"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("")
    with pytest.raises(InputError, match=r"there is no run in .*/title; did you mean .*/titles\?$"):
        process.saved_config(str(tmp_path / "title"))
    with pytest.raises(InputError, match=r"did you mean .*/names, .*/titles\?$"):
        process.saved_config(str(tmp_path))
    with pytest.raises(InputError, match=r"there is no folder .*/zzz; train a model"):
        process.saved_config(str(tmp_path / "zzz"))


def test_a_damaged_program_among_the_kept_ones_is_compiled_anew_and_replaced_without_a_word(tmp_path):
    program = (
        "from flaxchar.commands import process; process.set_up()\n"
        "import jax, jax.numpy as j, pathlib\n"
        "def value(): jax.clear_caches(); return float(jax.jit(lambda x: j.tanh(x).sum())(j.arange(9.)))\n"
        "expected = value()\n"
        "paths = list(pathlib.Path(jax.config.jax_compilation_cache_dir).glob('*-cache'))\n"
        "good = {path: path.read_bytes() for path in paths}\n"
        "flip = lambda b: b[:50] + bytes([b[50] ^ 1]) + b[51:]\n"
        "for damage in (lambda b: b[: len(b) // 2], lambda b: b'', lambda b: b[::-1], flip):\n"
        "    for path in paths: path.write_bytes(damage(good[path]))\n"
        "    assert value() == expected\n"
        "    assert all(path.read_bytes() != damage(good[path]) for path in paths)\n"
        "print(len(paths))"
    )
    command = [sys.executable, "-c", program]
    variables = environment(XDG_CACHE_HOME=str(tmp_path), JAX_PLATFORMS="cpu")
    result = subprocess.run(command, capture_output=True, text=True, env=variables, check=True, cwd=ROOT)
    assert int(result.stdout) > 0
    assert result.stderr == ""


def test_a_bare_name_finds_the_run_of_that_name_in_the_usual_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "set_up", lambda: None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "headlines").mkdir(parents=True)
    (tmp_path / "runs" / "headlines" / "config.json").write_text("")
    with pytest.raises(InputError, match=r"there is no run in headlines; did you mean runs/headlines\?$"):
        process.saved_config("headlines")
