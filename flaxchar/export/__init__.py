"""Export a model to files that other programs open, and import models that other programs trained.

Each format has a module: ``safetensors_file``, ``torch_module``, ``keras_weights``, ``html_page``, ``onnx_step``.
``docs/export.md`` has the names and shapes of each.
"""

from flaxchar.export.exporting import ExportFormat, export_model
from flaxchar.export.importing import read_model

__all__ = [
    "ExportFormat",  # the names of the formats
    "export_model",  # a model → a file or a folder
    "read_model",  # a file of another program → a model
]
