"""Export and import: a model as files that other programs open, and models that other programs trained.

One module a format: ``safetensors_file``, ``torch_module``, ``keras_weights``, ``html_page``, ``onnx_step``.
``docs/export.md`` has the names and shapes of each.
"""

from flaxchar.export.exporting import ExportFormat, export_model
from flaxchar.export.importing import read_model

__all__ = [
    "ExportFormat",  # the names of the formats
    "export_model",  # a model → a file or a folder
    "read_model",  # a file of another program → a model
]
