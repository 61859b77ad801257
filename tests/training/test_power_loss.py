"""After a power cut at any moment the folder is no run yet, or a run that is read and goes on."""

from __future__ import annotations

import json

import jax.numpy as jnp
import numpy as np
import pytest
from crashes import Disk, restore

from flaxchar import Config, InputError, Vocabulary
from flaxchar.training.new_run import NewRun
from flaxchar.training.run_directory import METRICS, SAMPLES, Run
from flaxchar.training.stretches import Stretch

CONFIG, VOCABULARY = Config().replace(hidden=7), Vocabulary.build(["abc"])


def params(step):
    return {"w": jnp.full((3,), float(step))}


def training(step):
    return {"m": jnp.full((2,), float(step))}


def live(path, disk):
    """Everything that writes in a run directory: a run begins, is evaluated and saved, and is trained further."""
    new = NewRun(path, fresh=False)
    run = new.begin(CONFIG, VOCABULARY, {"sha256": "1"}, 3)
    for step, bits in ((1, 3.0), (2, None), (3, 2.0), (4, 2.5), (5, 1.0)):
        if step == 4:
            run.extend([Stretch(3), Stretch(5)])
        for name in (METRICS, SAMPLES):
            run.append(name, [{"step": step}])
        run.sync_lines()
        run.checkpoints.save(step, params(step), training(step), bits)
        disk.promised = step
    run.baselines(lambda: {"uniform": 6.0})
    run.close()


def check(path) -> int | None:
    """Go on with a run as a resumed training does; the last step, or None where there is no run."""
    if not Run.exists(path):
        with pytest.raises(InputError, match="holds no run yet"):
            Run.open(path)
        NewRun(path, fresh=False).begin(CONFIG, VOCABULARY, {"sha256": "1"}, 3).close()  # nothing is in its way
        return None
    run = Run.open(path)
    assert (run.config, run.vocabulary) == (CONFIG, VOCABULARY)
    run.recover()  # a warning would fail the test
    run.claim()
    last = run.checkpoints.last_step()
    for step in run.checkpoints.steps():
        saved, trained = run.checkpoints.restore(step, params(0), training(0))
        np.testing.assert_array_equal(saved["w"], params(step)["w"])
        np.testing.assert_array_equal(trained["m"], training(step)["m"])
    run.forget_after(last or 0)
    for name in (METRICS, SAMPLES):
        lines = (path / name).read_text().splitlines() if (path / name).exists() else []
        assert [json.loads(line)["step"] for line in lines] == list(range(1, (last or 0) + 1))
    assert run.steps == (5 if (last or 0) > 3 else run.steps)
    if last is not None:
        run.checkpoints.save(last + 1, params(last + 1), training(last + 1), 0.5)
        assert run.checkpoints.best() == (last + 1, 0.5)
    assert run.baselines(lambda: {"uniform": 6.0}) == {"uniform": 6.0}
    run.close()
    return last or 0


@pytest.mark.slow
def test_every_prefix_of_the_writes_is_no_run_or_one_that_goes_on(tmp_path, caplog):
    disk = Disk(tmp_path)
    with disk.recording():
        live(tmp_path / "r", disk)
    reached = set()
    states = disk.unique()
    assert len(states) > 60
    for number, (state, promised) in enumerate(states):
        restore(state, tmp_path / f"crash{number}")
        last = check(tmp_path / f"crash{number}" / "r") if (tmp_path / f"crash{number}" / "r").exists() else None
        assert promised is None or last >= promised
        reached.add(last)
    assert reached == {None, 0, 1, 2, 3, 4, 5}
    assert caplog.text == ""


def test_what_is_not_synchronised_does_not_survive(tmp_path):
    """The disk itself forgets: else the test above proves nothing."""
    disk = Disk(tmp_path)
    with disk.recording():
        (tmp_path / "new").write_text("content")
        (tmp_path / "new").rename(tmp_path / "named")
    assert {".": None, "named": b""} in disk.states
    assert all(content is None or b"content" not in content for state in disk.states for content in state.values())
