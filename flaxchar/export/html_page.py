"""HTML: a model in one offline page, which writes texts and shows the surprise and the units of a text.

The page has the weights as base64 of float32, the vocabulary as JSON, and the recurrence in plain JavaScript
(``template_files/model.js``). With float16, the logits would differ from JAX's by more than 1e-4
(docs/decisions/export.md). The content-security policy allows only this script and this style sheet, by their hashes,
and no requests.
"""

from __future__ import annotations

import base64
import html
import json
from typing import Any

import jax
import numpy as np

import flaxchar
from flaxchar.config import InputError
from flaxchar.export.metadata import beginnings, in_words
from flaxchar.export.templates import fill, read_template
from flaxchar.insight.page import content_policy
from flaxchar.models.trained import TrainedModel
from flaxchar.sizes import in_bytes

# The most bytes of weights in a page. A browser reads the whole page before it shows anything.
_MOST_BYTES = 100 << 20


def html_bytes(trained: TrainedModel, title: str) -> bytes:
    """Make the page of a model.

    Args:
      trained: a model of characters, without sources.
      title: the heading of the page, such as the name of the run.

    Raises:
      InputError: the weights are too large for a page.
    """
    leaves = jax.tree_util.tree_leaves_with_path(trained.params)
    arrays = {".".join(part.key for part in path): np.asarray(leaf, "<f4") for path, leaf in leaves}
    size = sum(array.nbytes for array in arrays.values())
    if size > _MOST_BYTES:
        raise InputError(
            f"the weights take {in_bytes(size)}, and a page should not hold more than {in_bytes(_MOST_BYTES)}; "
            'choose another format, such as `to="onnx"` or `to="safetensors"`'
        )
    script, style = read_template("model.js") + read_template("page.js"), read_template("page.css")
    page = fill(
        "page.html",
        {
            "policy": content_policy(style, script),
            "title": html.escape(title.encode("utf-8", "replace").decode()),
            "about": html.escape(f"{in_words(trained)}. Exported by flaxchar {flaxchar.__version__}."),
            "style": style,
            "model": json.dumps(_description(trained, arrays), allow_nan=False).replace("<", r"\u003c"),
            "weights": base64.b64encode(b"".join(array.tobytes() for array in arrays.values())).decode(),
            "script": script,
        },
    )
    return page.encode()


def _description(trained: TrainedModel, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """The description of a model that the script needs, as JSON types."""
    settings, vocabulary, data = trained.config.model, trained.vocabulary, trained.config.data
    return {
        "cell": settings.cell,
        "layers": settings.layers,
        "hidden": settings.hidden,
        "residual": settings.residual,
        "layerNorm": settings.layer_norm,
        "tokens": list(vocabulary.tokens),
        "eos": vocabulary.eos,
        "unknown": vocabulary.unknown,
        "neverWritten": list(vocabulary.never_written),
        "running": data.running,
        "normalize": None if data.normalize is None else data.normalize.upper(),
        # Pairs instead of an object: JavaScript would reorder keys that look like numbers.
        "beginnings": [[label, ids._asdict()] for label, ids in beginnings(trained).items()],
        "arrays": [[name, array.size] for name, array in arrays.items()],
    }
