"""Imports the libraries of the extra ``export`` on use. A missing one is an error that says how to install it."""

from __future__ import annotations

import importlib
from typing import Any

from flaxchar.config import missing_extra


def library(module: str) -> Any:
    """Import a module of a library that only exports and imports need.

    Args:
      module: the module's name; the part before the first dot is the name of the package.

    Raises:
      InputError: the library is not installed.

    Example::

        library("safetensors.numpy").save({"a": np.zeros(3)})
    """
    name = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise missing_extra("this", name, "export") from None
