"""Requests and results between a host and a benchmark elsewhere: what they refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from edgedistill.errors import DataError
from edgedistill.phones.protocol import RunRequest, RunResult
from edgedistill.phones.requests import OUTPUTS, read_outputs, read_result
from edgedistill.phones.requests import RESULT as ANSWER

IDS = {"name": "input_ids", "dtype": "int64", "shape": [1, 4]}
GRAPH = {"name": "main", "file": "model.onnx", "inputs": [IDS], "outputs": [IDS | {"name": "logits"}]}
REQUEST: dict[str, Any] = {
    "id": "a",
    "source": "phone",
    "runtime": "onnx",
    "graphs": [GRAPH],
    "driver": {"kind": "single", "graph": "main"},
    "inputs": [{"arrays": [IDS | {"file": "inputs.bin"}]}],
    "warm_up_runs": 5,
    "warm_up_seconds": 2.0,
    "min_runs": 64,
    "min_seconds": 6.0,
    "max_seconds": 60.0,
}
RESULT: dict[str, Any] = {
    "id": "a",
    "status": "done",
    "source": "phone",
    "runtime": "onnx",
    "runtime_build": "glibc-wheel",
    "threads": 1,
}


def test_a_request_survives_its_json() -> None:
    request = RunRequest.model_validate(REQUEST)
    assert RunRequest.model_validate_json(request.model_dump_json()) == request


@pytest.mark.parametrize("name", ["/etc/passwd", "../model.onnx", "a/../../b", "", "a\0b"])
def test_files_stay_below_the_request(name: str) -> None:
    with pytest.raises(ValidationError, match="below the request's folder"):
        RunRequest.model_validate(REQUEST | {"outputs": name})
    with pytest.raises(ValidationError, match="below the request's folder"):
        RunRequest.model_validate(REQUEST | {"inputs": [{"arrays": [IDS | {"file": name}]}]})
    with pytest.raises(ValidationError, match="below the request's folder"):
        RunRequest.model_validate(REQUEST | {"graphs": [GRAPH | {"file": name}]})


@pytest.mark.parametrize(
    "wrong",
    [{"threads": 0}, {"inputs": []}, {"graphs": []}, {"min_seconds": -1}, {"driver": {"kind": "seq2seq"}}, {"x": 1}],
)
def test_requests_that_cannot_be_run_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RunRequest.model_validate(REQUEST | wrong)


def test_a_phone_is_never_asked_for_marks() -> None:
    with pytest.raises(ValidationError, match="unknown system calls"):
        RunRequest.model_validate(REQUEST | {"marks": True})
    assert RunRequest.model_validate(REQUEST | {"marks": True, "source": "qemu"}).marks


@pytest.mark.parametrize(
    "held",
    [
        {"samples_ns": [1_000_000]},
        {"first_ns": 1},
        {"load_ns": 0},
        {"peak_rss_bytes": 1},
        {"readings": [{"seconds": 0.0, "clocks": {"0": 2000.0}}]},
    ],
)
def test_emulated_time_is_no_time(held: dict[str, Any]) -> None:
    assert RunResult.model_validate(RESULT | held)
    with pytest.raises(ValidationError, match="holds no times"):
        RunResult.model_validate(RESULT | held | {"source": "qemu"})


def test_a_failure_says_why_and_only_a_failure_does() -> None:
    assert RunResult.model_validate(RESULT | {"status": "failed", "error": "no file 'model.onnx'"})
    for wrong in ({"status": "failed"}, {"error": "no file"}):
        with pytest.raises(ValidationError, match="filled exactly when"):
            RunResult.model_validate(RESULT | wrong)


@pytest.mark.parametrize(("shape", "offset"), [([4], 60), ([2**32, 2**32], 0), ([2**63], 0), ([1], 2**70)], ids=str)
def test_outputs_that_cannot_be_there_are_one_error(shape: list[int], offset: int, tmp_path: Path) -> None:
    (tmp_path / OUTPUTS).write_bytes(bytes(64))
    output = {"name": "logits", "dtype": "float32", "file": OUTPUTS, "input": 0}
    whole = RunResult.model_validate(RESULT | {"outputs": [output | {"shape": [16]}]})
    assert read_outputs(tmp_path, whole)[0]["logits"].shape == (16,)
    result = RunResult.model_validate(RESULT | {"outputs": [output | {"shape": shape, "offset": offset}]})
    with pytest.raises(DataError, match=r"outputs in .* cannot be read"):
        read_outputs(tmp_path, result)


@pytest.mark.parametrize(
    "text", ['{"id": ' + "[" * 100_000, "\x00\xff{]", "[]", ""], ids=["deep", "rubbish", "list", "empty"]
)
def test_a_result_that_is_none_is_one_error(text: str, tmp_path: Path) -> None:
    (tmp_path / ANSWER).write_text(text)
    with pytest.raises(DataError, match="is no readable result"):
        read_result(tmp_path)
    (tmp_path / ANSWER).write_text(json.dumps(RESULT))
    assert read_result(tmp_path).id == "a"
