"""The tree of errors: drawn as it is, exit codes as published, messages that offer the nearest name."""

from __future__ import annotations

import re

import pytest

from edgedistill import errors
from edgedistill.errors import EdgeDistillError, MissingExtraError, UnknownNameError

TREE = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, EdgeDistillError)]


@pytest.mark.parametrize("error", [e for e in TREE if e is not EdgeDistillError], ids=lambda e: e.__name__)
def test_the_drawing_at_the_top_is_the_tree(error: type[EdgeDistillError]) -> None:
    drawn = re.search(rf"-- {error.__name__}\s+(\d)", errors.__doc__ or "")
    assert drawn, f"{error.__name__} is not in the drawing"
    assert int(drawn[1]) == error.exit_code


def test_an_unknown_name_offers_the_nearest_and_lists_all() -> None:
    message = str(UnknownNameError("target", "onxx", ["tflite", "onnx"]))
    assert message == "no target named 'onxx'. Did you mean 'onnx'? There are: onnx, tflite."


def test_a_name_like_no_other_gets_only_the_list() -> None:
    assert str(UnknownNameError("task", "zzz", ["sst2"])) == "no task named 'zzz'. There are: sst2."


def test_a_missing_package_comes_with_its_command() -> None:
    message = str(MissingExtraError("target 'coreml'", "coremltools", "coreml"))
    assert message.endswith('Run: pip install "edgedistill[coreml]"')
