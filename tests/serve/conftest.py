"""Small runs that are served, and a server in a thread."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from pathlib import Path

import pytest
from helpers import PALINDROMES, untrained_model
from page_client import Client

pytest.importorskip("starlette", reason="needs the extra serve")
pytest.importorskip("uvicorn", reason="needs the extra serve")

from flaxchar.serve.batcher import Batcher
from flaxchar.serve.server import PageServer
from flaxchar.training.run_directory import METRICS, Run

TEXTS = [*PALINDROMES, "<script>alert(1)</script>", "To be, or not to be", "éa שלום"]


@pytest.fixture(scope="session")
def lm():
    """A model of characters that ends its texts now and then."""
    return untrained_model(TEXTS, layers=2)


@pytest.fixture(scope="session")
def labelled():
    """A model that writes for a label."""
    return untrained_model(TEXTS, labels=("<b>a</b>", "b"))


@pytest.fixture(scope="session")
def runs(tmp_path_factory, lm, labelled) -> dict[str, Path]:
    """The folders of runs of several kinds."""
    folder = tmp_path_factory.mktemp("served")
    models = {
        "plain": lm,
        "labelled": labelled,
        "classifier": untrained_model(TEXTS, labels=("<b>a</b>", "b"), head="classifier"),
        "running": untrained_model(["Ab\n\ncd e.\n", "To\nbe\n\n"], window=8, begin_at="paragraph"),
    }
    for name, model in models.items():
        model.save(folder / name)
    run = Run.open(folder / "plain")
    run.append(METRICS, [{"step": 0, "bits_per_character": 4.0, "learning_rate": 0.1, "seconds": 1.0}])
    run.append(METRICS, [{"step": 0, "held_out_bits_per_character": 3.5}])
    run.close()
    return {name: folder / name for name in models}


@pytest.fixture(scope="session")
def server(runs):
    """The page, served by a thread of this process on a port of its own."""
    server = PageServer(list(runs.values()), port=0)
    server.config.app._rates.allow = lambda address: True  # all tests are one address
    thread = threading.Thread(target=server.run_until_stopped)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server
    server.should_exit = True
    thread.join(timeout=60)
    where = "".join(line for frame in sys._current_frames().values() for line in ["\n", *traceback.format_stack(frame)])
    assert not thread.is_alive(), where


@pytest.fixture
def client(server):
    """A client of the server."""
    return Client(server.port)


@pytest.fixture
def batcher():
    """A device thread."""
    batcher = Batcher()
    yield batcher
    batcher.close()
