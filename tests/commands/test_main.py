"""The command line: dispatch, exit statuses, errors of one sentence."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT, environment, python, run_command

from flaxchar.commands.main import SUMMARIES, main
from flaxchar.storage import StorageError


def test_without_a_command_the_usage_is_an_error(capsys):
    assert main([]) == 2
    assert capsys.readouterr().err.startswith("usage: flaxchar COMMAND")
    assert main(["--help"]) == 0
    usage = capsys.readouterr().out
    assert all(f"{name} " in usage for name in SUMMARIES)


@pytest.mark.parametrize(
    ("name", "told"), [("bake", "the commands are train, sample"), ("sampel", "did you mean sample?")]
)
def test_an_unknown_command_is_named(name, told, capsys):
    assert main([name]) == 2
    error = capsys.readouterr().err
    assert f"there is no command {name!r}" in error
    assert told in error


@pytest.mark.parametrize("script", ["train.py", "sample.py"])
def test_without_its_packages_a_script_says_what_to_install(script):
    command = [sys.executable, "-E", "-S", str(ROOT / script)]  # Python without site-packages
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("flaxchar: No module named ")
    assert "activate the virtual environment" in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_flaxchar_command(run):
    command = [str(Path(sys.executable).with_name("flaxchar"))]
    if not os.path.exists(command[0]):
        command = [sys.executable, "-c", "import sys; from flaxchar.commands.main import main; sys.exit(main())"]

    def flaxchar(*arguments):
        return subprocess.run([*command, *arguments], capture_output=True, text=True, cwd=ROOT, env=environment())

    result = flaxchar("sample", "--workdir", str(run))
    assert result.returncode == 0, result.stderr
    assert result.stdout == run_command("sample.py", "--workdir", str(run)).stdout
    assert flaxchar("--help").returncode == 0
    assert flaxchar("bake").returncode == 2
    for name in ("train", "sample"):
        result = flaxchar(name, "--help")
        assert result.returncode == 0
        assert "--workdir" in result.stdout


def test_help_and_complaints_about_flags_need_no_jax():
    """They are there in a fifth of a second; JAX alone takes twice that to import."""
    program = """if True:
        import contextlib, sys
        from flaxchar.commands.main import SUMMARIES, main
        for name in SUMMARIES:
            with contextlib.suppress(SystemExit):
                main([name, "--help"])
            print("status", main([name, "--nonsense"]))
        print("jax" in sys.modules)
    """
    lines = python(program).splitlines()
    assert [line for line in lines if line.startswith("status ")] == ["status 2"] * len(SUMMARIES)
    assert lines[-1] == "False"


def test_a_closed_pipe_is_no_error(run):
    result = subprocess.run(
        f"{sys.executable} {ROOT / 'sample.py'} --workdir {run} --num-samples 500 | head -1",
        shell=True, capture_output=True, text=True, env=environment(),
    )  # fmt: skip
    assert result.stderr == ""
    assert len(result.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("sample", "--temperature", "-1"), "--temperature is -1.0"),
        (("sample", "--temperature", "nan"), "--temperature is nan"),
        (("sample", "--temperature", "inf"), "--temperature is inf"),
        (("sample", "--top-p", "0"), "--top-p is 0.0"),
        (("sample", "--top-p", "1.5"), "--top-p is 1.5"),
        (("sample", "--prompt", "Ñandú"), "'Ñ', 'ú'"),
        (("sample", "--stream", "--json"), "--stream and --json exclude each other"),
        (("sample", "--bogus"), "has no option --bogus"),
        (("sample", "--seed", "x"), "--seed"),
        (("train", "--data", "no.txt", "--fresh"), "there is no file"),
        (("train", "--data"), "--data needs a value"),
        (("train", "--hiden", "8"), "has no option --hiden; did you mean --hidden?"),
        (("train", "names.txt"), "'names.txt' belongs to no option; name files with --data"),
        (("train", "--hidden", "100000000000"), "at most 65,536"),
        (("train", "--coordinator", "host:1"), "go together; give all three"),
        (("train", "--optimizer", "adagrad"), "--optimizer is 'adagrad'; it must be one of adam"),
        (("train", "--hidden", "-4", "--fresh"), "--hidden is -4"),
        (("train", "--steps", "3", "--epochs", "2", "--fresh"), "--epochs and --steps"),
        (("train", "--time-budget", "soon", "--fresh"), "--time-budget is 'soon'"),
        (("train", "--dataset", "headlines", "--fields", "title", "--fresh"), "has no fields"),
        (("train", "--dataset", "headlines", "--data", "x.txt", "--fresh"), "--dataset and --data"),
    ],
)
def test_bad_input_is_one_sentence_on_stderr_and_status_2(run, run_here, arguments, told):
    before = sorted(path.name for path in run.parent.iterdir())
    result = run_here(*arguments, "--workdir", str(run))
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("flaxchar: ")
    assert result.stderr.count("\n") == 1
    assert told in result.stderr
    assert sorted(path.name for path in run.parent.iterdir()) == before  # --fresh moved nothing


def test_fresh_moves_nothing_when_the_new_run_cannot_begin(run, run_here, texts):
    before = sorted(path.name for path in run.parent.iterdir())
    result = run_here("train", "--data", texts, "--workdir", str(run), "--fresh", "--sample-prompts", "Zürich")
    assert result.returncode == 2
    assert "'ü'" in result.stderr
    assert sorted(path.name for path in run.parent.iterdir()) == before


@pytest.mark.parametrize("kind", ["missing", "empty", "unfinished", "damaged", "file"])
def test_folders_without_a_model(run, run_here, tmp_path, kind):
    path = tmp_path / "r"
    told = {
        "missing": "there is no folder",
        "empty": "holds no run",
        "unfinished": "holds no checkpoint yet",
        "damaged": "cannot be read",
        "file": "there is no folder",
    }[kind]
    if kind in ("unfinished", "damaged"):
        shutil.copytree(run, path)
        shutil.rmtree(path / "checkpoints")
        if kind == "damaged":
            (path / "config.json").write_text('{"format"')
    elif kind == "empty":
        path.mkdir()
    elif kind == "file":
        path.write_text("")
    result = run_here("sample", "--workdir", str(path))
    assert (result.returncode, result.stdout) == (2, "")
    assert told in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_damaged_checkpoint_is_named(run, tmp_path):
    path = tmp_path / "r"
    shutil.copytree(run, path)
    for file in path.rglob("d/*"):
        file.write_bytes(b"")
    # In a process of its own: Orbax leaves exceptions in its background threads.
    result = run_command("sample.py", "--workdir", str(path))
    assert (result.returncode, result.stdout) == (2, "")
    assert f"the checkpoint of step 60 in {path}/checkpoints is damaged" in result.stderr


def test_a_failure_of_the_work_is_status_1_and_debug_shows_where(run, tmp_path, run_here):
    """Samples that cannot be written, because a folder stands in the file's place."""
    path = tmp_path / "r"
    shutil.copytree(run, path)
    (path / "samples.jsonl").unlink()
    (path / "samples.jsonl").mkdir()
    command = ("train.py", "--workdir", str(path), "--steps", "70")
    result = run_command(*command)
    assert result.returncode == 1
    assert result.stderr == f"flaxchar: cannot write {path / 'samples.jsonl'}: Is a directory\n"
    assert result.stderr.count("\n") == 1
    with pytest.raises(StorageError):
        run_here("train", *command[1:], "--debug")


def test_a_process_ends_whole_and_without_taking_the_interpreter_down():
    """Threads in native code can crash while Python takes the interpreter down."""
    program = """if True:
        import atexit, sys
        from flaxchar.commands import main

        class Last:
            def __del__(self):
                print("taken down", flush=True)

        last, command = Last(), main.main

        def cleaning(arguments):
            atexit.register(print, "cleaned up")
            return command(arguments)

        main.main = cleaning
        main.run(sys.argv[1:])
    """
    for arguments, status in ((["--help"], 0), (["train", "--help"], 0), (["bake"], 2)):
        result = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, cwd=ROOT)
        assert result.returncode == status
        assert result.stdout.splitlines()[-1] == "cleaned up"
        assert "flaxchar" in result.stdout + result.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_one_sentence_and_status_1():
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "flaxchar", "--help"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
    assert result.returncode == 1
    assert result.stderr == "flaxchar: No space left on device (--debug shows where)\n"
