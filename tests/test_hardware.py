"""Hardware: what a GPU is given, tested by describing one, and that a CPU is given what it was."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxchar.hardware import Hardware, described_as, this_hardware

GPU = Hardware("gpu", "NVIDIA H200", 141 << 30)
SMALL_GPU = Hardware("gpu", "NVIDIA RTX 3070", 8 << 30)


def test_the_machine_of_the_tests_describes_itself():
    assert this_hardware().platform in ("cpu", "gpu", "tpu")
    assert this_hardware().wide == (this_hardware().platform != "cpu")


def test_a_description_ends_with_its_context_even_after_an_error():
    before = this_hardware()

    def fail():
        with described_as(GPU):
            assert this_hardware() == GPU
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert this_hardware() == before


def test_a_cpu_has_small_batches_and_no_unrolling():
    cpu = Hardware()
    assert (cpu.unroll, cpu.steps_under_way, cpu.batches_ahead, cpu.evaluation_widths) == (1, 2, 0, 4)
    assert cpu.generation_rows(1000) == 16
    assert cpu.evaluation_rows(128, 4000) == 64


@pytest.mark.parametrize("floats", [1, 1000, 10**6, 10**9])
def test_rows_fit_into_the_memory_of_a_gpu(floats):
    for gpu in (GPU, SMALL_GPU, Hardware("gpu", "unknown")):
        rows = gpu.generation_rows(floats)
        assert rows & (rows - 1) == 0  # a power of two
        assert rows == 16 or 4 * rows * floats <= (gpu.memory or 8 << 30) / 32
        assert 64 <= gpu.evaluation_rows(1, floats) <= 4096


def test_a_gpu_writes_thousands_of_texts_at_once():
    assert GPU.generation_rows(2048) == SMALL_GPU.generation_rows(2048) == 4096


def test_an_unrolled_recurrence_computes_the_same():
    from flaxchar.models.lstm import lstm_scan

    values = np.random.default_rng(0).normal(size=(13, 3, 20)).astype(np.float32)  # 13 is no multiple of 8
    recurrent = np.random.default_rng(1).normal(size=(5, 20)).astype(np.float32)

    def loss_and_gradients():
        def loss(projected, recurrent):
            hs, (h, c) = lstm_scan("float32", projected, recurrent, (jnp.zeros((3, 5)),) * 2)
            return (hs**2).sum() + h.sum() + c.sum()

        return jax.jit(jax.value_and_grad(loss, (0, 1)))(values, recurrent)

    plain = loss_and_gradients()
    with described_as(GPU):
        unrolled = loss_and_gradients()
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), plain, unrolled)
