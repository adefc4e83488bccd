import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgedistill.errors import ArtifactError
from edgedistill.measure import probe
from edgedistill.runner import Arrays, Runner

INPUTS = {"input_ids": np.ones((1, 4), np.int64), "attention_mask": np.ones((1, 4), np.int64)}
OPENERS = """
import sys

def fine(folder, threads):
    def load():
        return lambda inputs: {"logits": inputs["input_ids"]}
    return load

def hungry(folder, threads):
    def load():
        memory = bytearray(b"x") * 200_000_000
        return lambda inputs: {"logits": memory[:1]}
    return load

def broken(folder, threads):
    raise ValueError("the file is cut short")

def light(folder, threads):
    (folder / "modules.txt").write_text(" ".join(sys.modules))
    return fine(folder, threads)
"""


@pytest.fixture
def opener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "some_openers.py").write_text(OPENERS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "some_openers"


def test_a_fresh_process_reports_load_first_inference_and_memory(tmp_path: Path, opener: str) -> None:
    cold = probe.probe(tmp_path, INPUTS, 1, f"{opener}:fine")
    assert cold.load_ms >= 0
    assert cold.first_ms >= 0
    if sys.platform == "linux":
        assert cold.peak_rss_bytes is not None
        assert 5e6 < cold.peak_rss_bytes < 2e8


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_memory_is_the_models_own_and_not_this_process(tmp_path: Path, opener: str) -> None:
    weight = bytearray(b"x") * 300_000_000
    small = probe.probe(tmp_path, INPUTS, 1, f"{opener}:fine").peak_rss_bytes
    large = probe.probe(tmp_path, INPUTS, 1, f"{opener}:hungry").peak_rss_bytes
    del weight
    assert small is not None
    assert large is not None
    assert small < 2e8, "what this process holds does not count"
    assert large - small == pytest.approx(2e8, rel=0.1)


def test_the_fresh_process_imports_nothing_heavy(tmp_path: Path, opener: str) -> None:
    probe.probe(tmp_path, INPUTS, 1, f"{opener}:light")
    imported = set((tmp_path / "modules.txt").read_text(encoding="utf-8").split())
    assert "numpy" in imported
    assert not imported & {"torch", "transformers", "tokenizers", "scipy", "datasets"}


def test_a_model_that_does_not_load_is_named_with_the_reason(tmp_path: Path, opener: str) -> None:
    with pytest.raises(ArtifactError, match=r"does not load and answer in a fresh process: .*the file is cut short"):
        probe.probe(tmp_path, INPUTS, 1, f"{opener}:broken")


def test_a_model_that_hangs_is_named(tmp_path: Path, opener: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "TIMEOUT_SECONDS", 0.001)
    with pytest.raises(ArtifactError, match="did not load and answer within"):
        probe.probe(tmp_path, INPUTS, 1, f"{opener}:fine")


class Steps:
    """A clock that says the seconds it was given."""

    def __init__(self, *seconds: float) -> None:
        self.seconds = iter(seconds)

    def __call__(self) -> float:
        return next(self.seconds)


def test_importing_the_runtime_is_no_part_of_the_load_time(tmp_path: Path) -> None:
    order: list[str] = []

    def opener(folder: Path, threads: int) -> Callable[[], Runner]:
        order.append(f"imported for {threads} threads")

        def load() -> Runner:
            order.append("loaded")

            def run(inputs: Arrays) -> dict[str, np.ndarray]:
                order.append("ran")
                return {}

            return run

        return load

    cold = probe.look(tmp_path, INPUTS, 2, opener, Steps(10.0, 10.25, 10.375))
    assert (cold.load_ms, cold.first_ms) == (250.0, 125.0)
    assert order[:3] == ["imported for 2 threads", "loaded", "ran"]


def test_the_program_reads_inputs_and_writes_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other_openers.py").write_text(OPENERS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps({"input_ids": [[1, 2]]})))
    probe.main([str(tmp_path), "--opener", "other_openers:fine"])
    assert set(json.loads(capsys.readouterr().out)) == {"load_ms", "first_ms", "peak_rss_bytes"}
