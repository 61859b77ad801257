"""TFDS' real ag_news_subset builder, given an archive in place of the download, with no TensorFlow to import."""

from __future__ import annotations

import csv
import io
import json
import socket
import subprocess
import sys
import tarfile
import threading
import time

import pytest
from helpers import ROOT, environment, run_command

from flaxchar.data.headlines import bits_per_character, generate_headlines

# Runs a command of flaxchar's with TensorFlow out of reach and, where an archive's checksum is given, TFDS told that it
# is the right one.
PROGRAM = """
import sys
from importlib.machinery import PathFinder

class NoTensorFlow:
    "What finds modules in folders, TensorFlow excepted."
    def find_spec(self, name, path=None, target=None):
        return None if name == "tensorflow" else PathFinder.find_spec(name, path, target)
    find_distributions = staticmethod(PathFinder.find_distributions)

sys.meta_path[sys.meta_path.index(PathFinder)] = NoTensorFlow()
checksum, size, *arguments = sys.argv[1:]
if checksum:
    from tensorflow_datasets.core.download import checksums
    from tensorflow_datasets.core.utils import Size
    real = checksums.load_url_infos
    def load(path):
        return {url: checksums.UrlInfo(Size(int(size)), checksum, info.filename) for url, info in real(path).items()}
    checksums.load_url_infos = load
from flaxchar.commands.main import main
sys.exit(main(arguments))
"""


def run(*arguments, checksum="", size="0", **variables):
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, checksum, size, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
        env=environment(**variables),
    )
    return result


@pytest.fixture
def archive(tmp_path):
    """AG News' archive as its authors made it, with headlines of ours in it, where TFDS looks for it."""
    manual = tmp_path / "data" / "downloads" / "manual"
    manual.mkdir(parents=True)
    path = manual / "ag_news_csv.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name, count, seed in (("train.csv", 300, 5), ("test.csv", 40, 6)):
            table = io.StringIO()
            writer = csv.writer(table, quoting=csv.QUOTE_ALL)
            for number, title in enumerate(generate_headlines(count, seed)):
                writer.writerow([number % 4 + 1, title, f"Description of {number}"])
            data = table.getvalue().encode()
            info = tarfile.TarInfo(f"ag_news_csv/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def nowhere(port: int) -> dict[str, str]:
    """Variables that send every connection to a port of this machine."""
    proxy = f"http://127.0.0.1:{port}"
    return {name: proxy for name in ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy")} | {
        "NO_PROXY": "",
        "no_proxy": "",
    }


@pytest.mark.slow
def test_a_local_archive_is_prepared_and_trained_on(archive, tmp_path):
    import hashlib

    checksum, size = hashlib.sha256(archive.read_bytes()).hexdigest(), str(archive.stat().st_size)
    data_dir = tmp_path / "data"
    small = ("--steps", "4", "--hidden", "8")
    train = ("train", "--data-dir", data_dir, "--workdir", tmp_path / "run", *small)
    result = run(*train, checksum=checksum, size=size)
    assert result.returncode == 0, result.stderr
    assert "ag_news_subset: 300 texts to learn, 40 held out" in result.stdout
    assert list((data_dir / "ag_news_subset" / "1.0.0").glob("*.array_record*"))
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["config"]["data"]["dataset"] == "ag_news_subset"
    # Prepared once, it is read without archive, checksum or network; here by the environment's TFDS_DATA_DIR.
    archive.unlink()
    arguments = (
        "--dataset",
        "ag_news_subset",
        "--fields",
        "title",
        "description",
        "--workdir",
        tmp_path / "two",
        *small,
    )
    result = run("train", *arguments, TFDS_DATA_DIR=str(data_dir), **nowhere(9))
    assert result.returncode == 0, result.stderr
    texts = json.loads((tmp_path / "two" / "config.json").read_text())["texts"]
    assert (texts["learned"], texts["held_out"]) == (300, 40)
    vocabulary = json.loads((tmp_path / "two" / "vocabulary.json").read_text())["tokens"]
    assert "D" in vocabulary
    result = run("train", "--dataset", "ag_news_subset", "--fields", "headline", "--workdir", tmp_path / "three",
                 "--data-dir", data_dir)  # fmt: skip
    assert (result.returncode, result.stdout) == (2, "")
    assert "no text feature 'headline'; it has description, title" in result.stderr


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"<!DOCTYPE html><html><title>Google Drive - Quota exceeded</title></html>", "quota page"),
        pytest.param(b"<html>hello</html>", "a web page instead of the archive", marks=pytest.mark.slow),
        pytest.param(b"\x1f\x8bnot what was published", "wrong checksum", marks=pytest.mark.slow),
    ],
)
def test_what_came_instead_of_the_archive_is_told(archive, tmp_path, content, told):
    archive.write_bytes(content)
    result = run("train", "--dataset", "ag_news_subset", "--data-dir", tmp_path / "data", "--workdir", tmp_path / "run")
    assert result.returncode == 2
    (line,) = result.stderr.strip().split("\n")
    assert told in line
    assert "--data train.csv and --fields 2" in line
    assert not (tmp_path / "run").exists()


@pytest.fixture
def silent_port():
    """A port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept, over = [], threading.Event()

        def accept():
            while not over.is_set():
                kept.append(server.accept()[0])

        thread = threading.Thread(target=accept)
        thread.start()
        yield server.getsockname()[1]
        # A thread that waits for a connection is not woken by closing the port: it would accept one in a later test.
        over.set()
        socket.create_connection(server.getsockname()).close()
        thread.join()
        for connection in kept:
            connection.close()


def test_unreachable_when_asked_for_by_name_is_an_error_with_the_ways_around(tmp_path, silent_port):
    started = time.monotonic()
    result = run_command(
        "train.py", "--dataset", "ag_news_subset", "--data-dir", str(tmp_path), "--workdir", str(tmp_path / "run"),
        **nowhere(silent_port),
    )  # fmt: skip
    assert time.monotonic() - started < 60  # not the minutes of TFDS' own retries; it takes 4 s on an idle machine
    assert result.returncode == 2
    (line,) = result.stderr.strip().split("\n")
    for way in ("copy its folder", "put ag_news_csv.tar.gz in", "--data train.csv and --fields 2"):
        assert way in line


@pytest.mark.slow  # it measures the n-grams of the whole embedded corpus
def test_unreachable_by_default_is_a_notice_and_the_embedded_corpus(tmp_path):
    result = run_command(
        "train.py", "--data-dir", str(tmp_path), "--workdir", str(tmp_path / "run"), "--steps", "2", "--hidden", "8",
        **nowhere(9),
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("AG News is neither prepared here nor within reach") == 1
    assert json.loads((tmp_path / "run" / "config.json").read_text())["config"]["data"]["dataset"] == "headlines"
    assert f"(entropy floor {bits_per_character():.4f})" in result.stdout
    assert "above the entropy floor" in result.stdout


def test_a_data_set_that_does_not_exist(tmp_path):
    result = run_command("train.py", "--dataset", "no_such_data", "--workdir", str(tmp_path / "run"))
    assert result.returncode == 2
    assert "Dataset no_such_data not found" in result.stderr
    assert result.stderr.count("\n") == 1
