"""Missing libraries of the extra are named with the way to install them."""

from __future__ import annotations

import sys

import pytest
from exports import told

from flaxchar.export.extras import library


def test_a_missing_library_is_one_sentence_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert (
        told(library, "onnx") == "this needs onnx; install it with pip install -e '.[export]' in the folder "
        "of flaxchar's clone"
    )


def test_an_error_within_a_library_that_is_there_is_not_hidden():
    with pytest.raises(ModuleNotFoundError, match="no_such_part"):
        library("json.no_such_part")


def test_a_module_within_a_package_is_imported():
    assert library("json.decoder").JSONDecoder
