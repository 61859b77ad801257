"""What the tests of exports share: models whose every weight matters, files as others write them, other programs."""

from __future__ import annotations

import functools
import importlib.util
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import PALINDROMES, ROOT, config_and_vocabulary

from flaxchar import InputError, LanguageModel, Vocabulary, init_params
from flaxchar.models.charlm import make_model


def random_model(texts=PALINDROMES, **settings) -> LanguageModel:
    """A small model of random weights, none of them 0, so that a bias in the wrong place shows."""
    config, vocabulary = config_and_vocabulary(texts, **settings)
    model, rng = make_model(vocabulary, config.model), np.random.default_rng(1)
    shapes = jax.eval_shape(lambda: init_params(model, jax.random.key(0)))
    params = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(0, 0.3, leaf.shape), jnp.float32), shapes)
    return LanguageModel(params, vocabulary, config)


def some_ids(lm: LanguageModel, batch: int = 3, time: int = 20) -> np.ndarray:
    return np.random.default_rng(0).integers(0, lm.vocabulary.size, (batch, time)).astype(np.int32)


def jax_logits(lm: LanguageModel, ids: np.ndarray) -> np.ndarray:
    """Logits ``[batch, time, vocab]``; compiled as one program, which is faster than operator by operator."""
    return np.asarray(jax.jit(lm.model.apply)({"params": lm.params}, ids)[0])


def same_params(one: LanguageModel, other: LanguageModel) -> bool:
    assert jax.tree.structure(one.params) == jax.tree.structure(other.params)
    pairs = zip(jax.tree.leaves(one.params), jax.tree.leaves(other.params), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def told(function, *arguments, **options) -> str:
    """The one sentence with which something is refused."""
    with pytest.raises(InputError) as caught:
        function(*arguments, **options)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert len(sentence) < 400
    return sentence


def vocabulary_file(path: Path, vocabulary: Vocabulary) -> Path:
    path.write_text(json.dumps(list(vocabulary.tokens)))
    return path


@functools.cache
def python_with(framework: str, *modules: str) -> str:
    """A Python that has a framework: this one, or that of the benchmarks' environment."""
    if all(importlib.util.find_spec(module) for module in modules):
        return sys.executable
    python = ROOT / "benchmarks" / "environments" / framework / "bin" / "python"
    looks = f"import importlib.util as u; raise SystemExit(not all(map(u.find_spec, {modules!r})))"
    if not python.exists() or subprocess.run([python, "-c", looks]).returncode:
        pytest.skip(f"needs {' and '.join(modules)}: benchmarks/run.py makes benchmarks/environments/{framework}")
    return str(python)


def run_python(python: str, program: str, folder: Path) -> Mapping[str, np.ndarray]:
    """Run a program in a folder; it saves arrays in ``out.npz``."""
    result = subprocess.run([python, "-c", program], cwd=folder, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2000:]
    with np.load(folder / "out.npz") as file:
        return dict(file)
