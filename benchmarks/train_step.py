"""A training step of flaxchar's LSTM beside Flax' own RNN: same shapes, same loss, same optimiser, interleaved."""

from __future__ import annotations

import argparse
import platform
import statistics
import time

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from flaxchar import Batch, CharLM, ModelConfig, init_params, masked_cross_entropy, one_hot

VOCAB = 84


class FlaxLM(nn.Module):
    """The same network from Flax' parts."""

    hidden: int

    @nn.compact
    def __call__(self, inputs):
        states = nn.RNN(nn.OptimizedLSTMCell(self.hidden))(inputs)  # [batch, time, hidden]
        return nn.Dense(VOCAB)(states)


def make_step(apply, optimizer):
    @jax.jit
    def step(params, opt_state, inputs, batch):
        def loss(params):
            nats, tokens = masked_cross_entropy(apply(params, inputs), batch.targets, batch.mask)
            return nats / tokens

        value, gradients = jax.value_and_grad(loss)(params)
        updates, opt_state = optimizer.update(gradients, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, value

    return step


def seconds(run, steps):
    start = time.perf_counter()
    for _ in range(steps):
        value = run()
    value.block_until_ready()
    return (time.perf_counter() - start) / steps


def contestant(apply, params, inputs, batch):
    """A function that takes one more step each time it is called, and returns the loss."""
    optimizer = optax.adam(1e-3)
    step, state = make_step(apply, optimizer), [params, optimizer.init(params)]

    def run():
        state[0], state[1], value = step(state[0], state[1], inputs, batch)
        return value

    run().block_until_ready()
    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, nargs="+", default=[8, 32, 64])
    parser.add_argument("--hidden", type=int, nargs="+", default=[128])
    parser.add_argument("--time", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    print(f"jax {jax.__version__}, {jax.devices()[0].platform}, {platform.machine()}, {platform.python_version()}\n")
    print("| batch | hidden | time | flaxchar, thousand characters/s | Flax | ratio: median (least to most) |")
    print("|---|---|---|---|---|---|")
    rng = np.random.default_rng(0)
    for hidden in options.hidden:
        for rows in options.batch:
            shape = (rows, options.time)
            ids = rng.integers(1, VOCAB, shape).astype(np.int32)
            batch = Batch(ids, rng.integers(1, VOCAB, shape).astype(np.int32), np.ones(shape, bool), np.array(True))
            ours, theirs = CharLM(VOCAB, ModelConfig(hidden=hidden, dropout=0)), FlaxLM(hidden)
            vectors = jnp.asarray(one_hot(ids, VOCAB))
            mine = contestant(
                lambda p, x, m=ours: m.apply({"params": p}, x)[0], init_params(ours, jax.random.key(0)), ids, batch
            )
            flax = contestant(
                lambda p, x, m=theirs: m.apply({"params": p}, x),
                theirs.init(jax.random.key(0), vectors)["params"], vectors, batch,
            )  # fmt: skip
            steps = max(3, int(0.3 / seconds(mine, 3)))
            pairs = [(seconds(mine, steps), seconds(flax, steps)) for _ in range(options.rounds)]
            ratios = [b / a for a, b in pairs]
            speeds = [rows * options.time / statistics.median(side) / 1000 for side in zip(*pairs, strict=True)]
            print(
                f"| {rows} | {hidden} | {options.time} | {speeds[0]:.0f} | {speeds[1]:.0f} | "
                f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |"
            )


if __name__ == "__main__":
    main()
