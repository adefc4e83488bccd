"""Scheme auto on LiteRT files: a planted sensitive weight is found and kept in float, once for all lengths."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("litert_torch", reason="the extra tflite is not installed")

import litert_torch
import torch
from torch import nn

from edgedistill.artifacts import Graph, Tensor, read_manifest
from edgedistill.clients import refuse_clients
from edgedistill.data.encoding import Encoding
from edgedistill.errors import ExportError
from edgedistill.pipeline.export import export
from edgedistill.pipeline.package import package
from edgedistill.progress import hushed
from edgedistill.quant.calibration import Calibration
from edgedistill.quant.litert_mixed import MixedFile, readable
from edgedistill.targets import tflite as target
from edgedistill.targets.tflite import auto, convert
from edgedistill.targets.tflite.runtime import call_of, interpreter
from tests.made import write_verdict
from tests.targets.test_onnx_auto import judging

ROWS, WIDTH, LAYERS, PLANTED = 64, 64, 4, 2
LENGTHS = (8, 12)
TOKENS = [Encoding(tuple(np.random.default_rng(n).integers(0, ROWS, 12).tolist()), (0,) * 12) for n in range(48)]


class Stack(nn.Module):
    """Token ids -> embedding -> linears with residuals -> two logits.

    What the planted layer reads has one huge channel that its own weights ignore: in float nothing changes, in eight
    bits all other channels vanish in the rounding.
    """

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table, self.head = nn.Embedding(ROWS, WIDTH), nn.Linear(WIDTH, 2)
        layers, spike = [nn.Linear(WIDTH, WIDTH) for _ in range(LAYERS)], torch.zeros(WIDTH)
        spike[5] = 1e5
        layers[PLANTED].weight.data[:, 5] = 0
        self.layers, self.spike = nn.ModuleList(layers), nn.Parameter(spike)

    def forward(self, input_ids: torch.Tensor) -> dict[str, torch.Tensor]:
        hidden: torch.Tensor = self.table(input_ids)
        for number, layer in enumerate(self.layers):
            hidden = hidden + layer(hidden + self.spike if number == PLANTED else hidden)
        return {"logits": self.head(hidden.mean(1))}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The float file, in two lengths."""
    path = tmp_path_factory.mktemp("stack") / "model.tflite"
    converter: Any = litert_torch
    with hushed():
        for length in LENGTHS:
            example = {"input_ids": torch.zeros(1, length, dtype=torch.int32)}
            converter = converter.signature(f"length_{length}", Stack().eval(), sample_kwargs=example)
        converter.convert().export(str(path))
    return path.read_bytes()


def graphs() -> list[Graph]:
    logits = (Tensor(name="logits", dtype="float32", shape=(1, 2)),)
    return [
        Graph(
            name=f"length_{length}", signature=f"length_{length}", file="model.tflite", length=length, outputs=logits,
            inputs=(Tensor(name="input_ids", dtype="int32", shape=(1, length)),),
        )
        for length in LENGTHS
    ]  # fmt: skip


@pytest.mark.parametrize("base", ["int8_dynamic", "int8_weight"])
def test_the_planted_layer_alone_is_kept_and_only_where_products_are_of_integers(
    base: str, stack: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(stack)
    inputs = {"input_ids": np.array([one.input_ids for one in TOKENS])}
    inputs["attention_mask"] = np.ones_like(inputs["input_ids"])
    call = call_of(interpreter(path, threads=1), graphs()[1])
    right = np.concatenate([call({"input_ids": row[None]})["logits"] for row in inputs["input_ids"]]).argmax(1)
    calibration = Calibration(tuple(("", None) for _ in TOKENS), tuple(TOKENS), "numbers")
    kept, report = auto.search(path, graphs(), base, calibration, judging(inputs, right))
    assert len(report.parts) == LAYERS + 1, "the head's few numbers are not worth it"
    assert kept == ({str(PLANTED)} if base == "int8_dynamic" else set())
    assert all((part.error is None) == (not kept) for part in report.parts), "measured only where it is needed"
    assert report.trials[0].status == ("failed" if base == "int8_dynamic" else "passed")
    assert report.chosen.size_bytes == path.stat().st_size
    assert list(tmp_path.iterdir()) == [path], "no trial is left behind"
    logits = call_of(interpreter(path, threads=1), graphs()[1])({"input_ids": inputs["input_ids"][:1]})["logits"]
    assert logits.argmax() == right[0]


def test_what_stays_in_float_is_stored_once_for_all_lengths(stack: bytes, tmp_path: Path) -> None:
    mixed, path = MixedFile(stack, "int8_dynamic"), tmp_path / "model.tflite"
    sizes = [mixed.write(frozenset(names), path) for names in ((), ("table",))]
    assert 0 < sizes[1] - sizes[0] < 4 * mixed.numbers["table"]
    assert mixed.of_one_length("length_12").numbers == mixed.numbers


def test_paths_of_merged_operators_are_those_of_the_weight() -> None:
    merged = "a.b._Named/c.View_piece/d.Layer_0;;a.b._Named/c.View_piece/d.Layer_0/torch.nn.Linear_query;3"
    assert readable(merged) == "0.query"


def test_several_graphs_are_refused_before_the_conversion() -> None:
    view: Any = SimpleNamespace(pieces=("encoder", "decoder"), max_unrolled=None)
    with pytest.raises(ExportError, match=r"searches one graph; this model has 2.*exits=false"):
        convert._refuse(view, target.Config(scheme="auto"))


@pytest.mark.slow
def test_search_through_export_and_what_clients_are_told(tiny_bert: Path, tiny_task_dir: Path, tmp_path: Path) -> None:
    folder = export(
        tiny_bert, target="tflite", scheme="auto", task=str(tiny_task_dir / "task.yaml"), data=tiny_task_dir,
        settings=["search_rows=50", "calibration_rows=16", "max_length=32", "max_drop=20", "lengths=[32]"],
        out=tmp_path / "auto",
    )  # fmt: skip
    manifest = read_manifest(folder)
    assert manifest.quantization is not None
    assert manifest.quantization.search is not None
    assert manifest.quantization.search.chosen.high <= 20
    assert (manifest.scheme, manifest.of_weights) == ("auto", "int8_dynamic")
    refuse_clients(["mediapipe"], manifest.target, manifest.of_weights, bool(manifest.packed))
    write_verdict(folder)
    with pytest.raises(ExportError, match="int8_dynamic fails in tflite-runtime"):
        package(folder, out=tmp_path / "dist", clients=["tflite-runtime"])
