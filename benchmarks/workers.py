"""One side of a benchmark: a process that prepares a task and times it on request.

``run.py`` starts a worker for each framework, in the framework's own environment, and sends it requests as lines of
JSON, so that the sides take turns on one machine. The tasks are a training step of the same network on the same arrays,
and writing text. A worker imports only its own framework.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time

import numpy as np

VOCAB = 84


def arrays(task):
    """Inputs, targets and mask, ``[batch, time]``, and lengths ``[batch]``; a task's ``lengths`` make them ragged."""
    rng = np.random.default_rng(0)
    shape = task["batch"], task["time"]
    inputs, targets = (rng.integers(1, VOCAB, shape).astype(np.int32) for _ in range(2))
    lengths = np.array(task.get("lengths") or [task["time"]] * task["batch"])
    return inputs, targets, np.arange(task["time"]) < lengths[:, None], lengths


def flaxchar_step(task):
    import jax

    from flaxchar import Batch, CharLM, ModelConfig, TrainingConfig, TrainStep, init_state, make_optimizer

    inputs, targets, mask, _ = arrays(task)
    model = CharLM(VOCAB, ModelConfig(cell=task["cell"], hidden=task["hidden"], layers=task["layers"], dropout=0.0))
    optimizer = make_optimizer(TrainingConfig(optimizer="rmsprop", clip_norm=None))
    state = [init_state(model, optimizer, task["batch"], jax.random.key(0))]
    batch, train_step = Batch(inputs, targets, mask, np.array(True)), TrainStep(model, optimizer, jax.random.key(1))

    def step():
        state[0], sums = train_step(state[0], batch, 1e-3)
        return sums.nats

    return step, lambda nats: nats.block_until_ready()


def flax_step(task):
    import flax.linen as nn
    import jax
    import optax

    inputs, targets, mask, _ = arrays(task)

    class FlaxLM(nn.Module):
        @nn.compact
        def __call__(self, hidden):
            for _ in range(task["layers"]):
                hidden = nn.RNN(nn.OptimizedLSTMCell(task["hidden"]))(hidden)  # [batch, time, hidden]
            return nn.Dense(VOCAB)(hidden)

    model, optimizer = FlaxLM(), optax.rmsprop(1e-3, decay=0.9, eps=1e-7, eps_in_sqrt=False)
    vectors = np.eye(VOCAB, dtype=np.float32)[inputs]
    params = model.init(jax.random.key(0), vectors)

    def loss(params):
        nats = optax.softmax_cross_entropy_with_integer_labels(model.apply(params, vectors), targets)
        return (nats * mask).sum() / mask.sum()

    def update(params, moments):
        value, gradients = jax.value_and_grad(loss)(params)
        updates, moments = optimizer.update(gradients, moments)
        return optax.apply_updates(params, updates), moments, value

    update = jax.jit(update, donate_argnums=(0, 1))
    state = [params, optimizer.init(params)]

    def step():
        state[0], state[1], value = update(*state)
        return value

    return step, lambda value: value.block_until_ready()


def torch_network(task):
    import torch

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            layers = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[task["cell"]]
            self.recurrent = layers(VOCAB, task["hidden"], task["layers"], batch_first=True)
            self.logits = torch.nn.Linear(task["hidden"], VOCAB)

    torch.manual_seed(0)
    return torch, Network()


def torch_step(task):
    torch, network = torch_network(task)
    inputs, targets, mask, lengths = arrays(task)
    vectors = torch.nn.functional.one_hot(torch.tensor(inputs).long(), VOCAB).float()
    targets, mask = torch.tensor(targets).long(), torch.tensor(mask)
    optimizer = torch.optim.RMSprop(network.parameters(), 1e-3, alpha=0.9, eps=1e-7)
    packed = torch.nn.utils.rnn.pack_padded_sequence(vectors, torch.tensor(lengths), True, enforce_sorted=False)
    ragged = "lengths" in task

    def step():
        optimizer.zero_grad()
        if ragged:
            states, _ = network.recurrent(packed)
            hidden, _ = torch.nn.utils.rnn.pad_packed_sequence(states, True, total_length=task["time"])
        else:
            hidden, _ = network.recurrent(vectors)
        loss = torch.nn.functional.cross_entropy(network.logits(hidden)[mask], targets[mask])
        loss.backward()
        optimizer.step()
        return loss

    return step, lambda loss: loss.item()


def keras_network(layers, hidden):
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras

    keras.utils.set_random_seed(0)
    recurrent = [keras.layers.LSTM(hidden, return_sequences=True) for _ in range(layers)]
    network = keras.Sequential([keras.Input((None, VOCAB)), *recurrent, keras.layers.Dense(VOCAB, "softmax")])
    network.compile(keras.optimizers.RMSprop(1e-3), "sparse_categorical_crossentropy")
    return keras, network


def keras_step(task):
    inputs, targets, mask, _ = arrays(task)
    _, network = keras_network(task["layers"], task["hidden"])
    vectors = np.eye(VOCAB, dtype=np.float32)[inputs]
    return lambda: network.train_on_batch(vectors, targets, mask.astype(np.float32)), lambda loss: loss


def flaxchar_write(task):
    import jax

    from flaxchar import CharLM, ModelConfig, Sampling, Vocabulary, init_params
    from flaxchar.generation.generate import generate

    model = CharLM(VOCAB, ModelConfig(hidden=task["hidden"]))
    params = init_params(model, jax.random.key(0))
    params["logits"]["bias"] = params["logits"]["bias"].at[VOCAB - 1].set(-50.0)  # so that no text ends early
    vocabulary = Vocabulary(tuple(chr(33 + k) for k in range(VOCAB - 2)))
    prompt = np.array([3], np.int32)

    def write():
        return generate(model, params, vocabulary, prompt, task["streams"], task["size"], 0, Sampling(0.8))

    return write, lambda texts: texts


def torch_write(task):
    """A loop that keeps the recurrent state and feeds one character of every stream at a time."""
    torch, network = torch_network({"cell": "lstm", "hidden": task["hidden"], "layers": 1})

    @torch.inference_mode()
    def write():
        ids, state, texts = torch.full((task["streams"], 1), 3), None, []
        for _ in range(task["size"] - 1):
            hidden, state = network.recurrent(torch.nn.functional.one_hot(ids, VOCAB).float(), state)
            ids = torch.multinomial(torch.softmax(network.logits(hidden[:, 0]) / 0.8, -1), 1)
            texts.append(ids)
        return torch.cat(texts, 1)

    return write, lambda texts: texts


def keras_write(task):
    """The notebook's loop, which reads the whole text again for every character."""
    _, network = keras_network(1, task["hidden"])
    rng = np.random.default_rng(0)

    def write():
        ids = [3]
        while len(ids) < task["size"]:
            probabilities = network.predict(np.eye(VOCAB, dtype=np.float32)[[ids]], verbose=0)[0, -1].astype(float)
            weights = probabilities ** (1 / 0.8)
            ids.append(int(rng.choice(VOCAB, p=weights / weights.sum())))
        return ids

    return write, lambda ids: ids


def keras_quality(task):
    """The notebook's training: LSTM(128), RMSprop, batches of 8. Yields each epoch's seconds and held-out bits/char."""
    texts, held_out = task["train"], task["held_out"]
    ids = {c: k for k, c in enumerate(sorted(set("".join(texts))), start=1)}
    keras, network = keras_network(1, 128)
    eos = VOCAB - 1

    def batch(chosen):
        rows = [[ids[c] for c in text if c in ids] for text in chosen]
        width = max(map(len, rows))
        inputs, targets, mask = (np.zeros((len(rows), width), kind) for kind in (np.int32, np.int32, np.float32))
        for k, row in enumerate(rows):
            inputs[k, : len(row)], targets[k, : len(row)], mask[k, : len(row)] = row, [*row[1:], eos], 1
        return np.eye(VOCAB, dtype=np.float32)[inputs], targets, mask

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return math.ceil(len(texts) / 8)

        def __getitem__(self, k):
            return batch(texts[8 * k : 8 * k + 8])

    while True:
        start = time.perf_counter()
        network.fit(Batches(), epochs=1, verbose=0)
        seconds = time.perf_counter() - start
        nats = count = 0
        for k in range(0, len(held_out), 60):
            vectors, targets, mask = batch(held_out[k : k + 60])
            predicted = np.take_along_axis(network.predict(vectors, verbose=0), targets[..., None], -1)[..., 0]
            nats, count = nats - (np.log(predicted) * mask).sum(), count + mask.sum()
        yield seconds, float(nats / count / math.log(2))


def peak(_):
    """A large matrix product, which measures the machine's peak."""
    import jax
    import jax.numpy as jnp

    a = jnp.ones((2048, 2048))
    product = jax.jit(lambda a: a @ a)
    return lambda: product(a), lambda value: value.block_until_ready()


def main():
    framework = sys.argv[1]
    if framework in ("flaxchar", "flax"):
        from flaxchar.commands import process

        process.prepare() if framework == "flaxchar" else process.keep_memory()
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a framework prints must not mix with the answers
    run = wait = answer = None
    for line in sys.stdin:
        message = json.loads(line)
        if "quality" in message:
            epochs, answer = keras_quality(message["quality"]), None
        elif "epoch" in message:
            answer = next(epochs)
        elif "task" in message:
            kind = message["task"]["kind"]
            run, wait = peak(None) if kind == "peak" else globals()[f"{framework}_{kind}"](message["task"])
            wait(run())
            start = time.perf_counter()
            wait(run())
            answer = time.perf_counter() - start
        else:
            # Wait until the threads of the side that was just timed stop spinning, then warm this side's caches again.
            time.sleep(0.05)
            if answer < 1:
                wait(run())
            start = time.perf_counter()
            for _ in range(message["times"]):
                value = run()
            wait(value)
            answer = (time.perf_counter() - start) / message["times"]
        print(json.dumps(answer), file=output, flush=True)


if __name__ == "__main__":
    main()
