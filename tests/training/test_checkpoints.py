"""Checkpoints: which are kept, and what comes back."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
import pytest

from flaxchar import InputError
from flaxchar.storage import StorageError
from flaxchar.training.checkpoints import Checkpoints
from flaxchar.training.orbax import Orbax


@pytest.fixture
def checkpoints(tmp_path):
    opened = Checkpoints(tmp_path / "checkpoints")
    yield opened
    opened.close()


def kept(folder):
    return sorted(int(path.name) for path in (folder / "checkpoints").iterdir() if path.name.isdigit())


def params(k):
    return {"w": jnp.full((2, 3), float(k)), "b": jnp.arange(2) + k}


def test_the_last_and_the_best_are_kept_and_no_others(checkpoints, tmp_path):
    results = {1: 3.0, 2: None, 3: 2.0, 4: None, 5: 2.5, 6: None, 7: math.nan}
    for step, bits in results.items():
        checkpoints.save(step, params(step), {"m": jnp.ones(2) * step}, bits)
        assert checkpoints.last_step() == step
    assert kept(tmp_path) == [3, 7]
    assert checkpoints.best() == (3, 2.0)
    restored, training = checkpoints.restore(3, params(0), {"m": jnp.zeros(2)})
    np.testing.assert_array_equal(restored["w"], params(3)["w"])
    np.testing.assert_array_equal(training["m"], [3, 3])
    assert restored["b"].dtype == params(0)["b"].dtype


def test_a_resumed_run_keeps_as_few(checkpoints, tmp_path):
    """Looking for the last checkpoint first, as resuming does, must not leave the run unable to delete."""
    checkpoints.save(1, params(1), None, 3.0)
    checkpoints.close()
    again = Checkpoints(tmp_path / "checkpoints")
    (tmp_path / "checkpoints" / "2.orbax-checkpoint-tmp-1").mkdir()  # a kill in the middle of a save leaves this
    assert again.last_step() == 1
    for step in (2, 3, 4, 5):
        again.save(step, params(step), None, 3.0 - step / 10)
        assert again.last_step() == step
    again.close()
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["5"]


def test_without_results_the_last_is_the_best(checkpoints, tmp_path):
    assert checkpoints.best() is None
    for step in (1, 2, 3):
        checkpoints.save(step, params(step))
    assert kept(tmp_path) == [3]
    assert checkpoints.best() == (3, None)


def test_a_saved_step_is_not_saved_again(checkpoints):
    checkpoints.save(1, params(1), None, 2.0)
    checkpoints.save(1, params(5))
    np.testing.assert_array_equal(checkpoints.restore(1, params(0))[0]["w"], params(1)["w"])


def test_a_checkpoint_that_cannot_be_linked_to_is_not_called_damaged(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path / "run [v2]")
    (tmp_path / "run [v2]").mkdir()
    checkpoints.save(4, params(1))
    monkeypatch.setattr("flaxchar.training.orbax._temporary_folders", lambda: [tmp_path / "gone"])
    for read in (lambda: checkpoints.check_size(4, 8), lambda: checkpoints.restore(4, params(0))):
        with pytest.raises(StorageError, match=r"cannot be opened: .* \(.*gone: No such file or directory\)"):
            read()
    with pytest.raises(StorageError, match=r"cannot save the checkpoint of step 5 .*gone: No such file or directory"):
        checkpoints.save(5, params(1))
    assert checkpoints.steps() == [4]
    checkpoints.close()


def test_a_link_that_leads_nowhere_is_named_and_other_names_are_no_checkpoints(checkpoints, tmp_path):
    checkpoints.save(4, params(1))
    (tmp_path / "checkpoints" / "0070").mkdir()
    assert checkpoints.best() == (4, None)
    (tmp_path / "checkpoints" / "60").symlink_to(tmp_path / "gone")
    for read in (checkpoints.best, lambda: checkpoints.check_size(60, 8)):
        with pytest.raises(StorageError, match="60 is a symbolic link that cannot be followed"):
            read()


def test_a_damaged_checkpoint_is_named(checkpoints, tmp_path):
    checkpoints.save(4, params(1))
    for path in (tmp_path / "checkpoints" / "4" / "params").rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    with pytest.raises(InputError, match=r"the checkpoint of step 4 in .* is damaged"):
        checkpoints.restore(4, params(0))


def test_arrays_of_other_shapes_are_refused(checkpoints):
    """Also where there are as many parameters: Orbax itself returns them in the shapes that were saved."""
    checkpoints.save(4, params(1), {"m": jnp.zeros((2, 2))})
    with pytest.raises(InputError, match="other shapes than the settings and the vocabulary"):
        checkpoints.restore(4, {"w": jnp.zeros((3, 2)), "b": jnp.arange(2)})
    with pytest.raises(InputError, match="other shapes"):
        checkpoints.restore(4, params(0), {"m": jnp.zeros(4)})


def test_a_checkpoint_that_was_not_written_whole_does_not_become_one(checkpoints, monkeypatch):
    checkpoints.save(1, params(1))
    save = Orbax.save

    def lose_an_array(self, folder, items):
        save(self, folder, {name: {"w": item["w"]} for name, item in items.items()})

    monkeypatch.setattr(Orbax, "save", lose_an_array)
    with pytest.raises(
        StorageError, match=r"cannot save the checkpoint of step 2 in .*: `params` was not written whole"
    ):
        checkpoints.save(2, params(2))
    assert checkpoints.steps() == [1]
