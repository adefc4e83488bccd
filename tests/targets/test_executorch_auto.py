"""Scheme auto on ExecuTorch programs: a planted sensitive weight is found and kept in float."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("executorch", reason="the extra executorch is not installed")

import torch
from torch import nn

from edgedistill.artifacts import Single
from edgedistill.data.encoding import Encoding
from edgedistill.errors import ExportError
from edgedistill.models.views.pieces import Piece
from edgedistill.progress import hushed
from edgedistill.quant.calibration import Calibration
from edgedistill.targets import executorch as target
from tests.targets.test_onnx_auto import judging

with hushed():
    from edgedistill.quant.executorch_weights import numbers_of, rounded
    from edgedistill.targets.executorch import convert
    from edgedistill.targets.executorch.runtime import Program

ROWS, WIDTH, LAYERS, PLANTED = 1100, 64, 4, 2
TOKENS = [Encoding(tuple(np.random.default_rng(n).integers(0, ROWS, 12).tolist()), (0,) * 12) for n in range(48)]


class Stack(Piece):
    """Token ids -> embedding -> linears with residuals -> two logits.

    What the planted layer reads has one huge channel that its own weights ignore: in float nothing changes, in eight
    bits all other channels vanish in the rounding.
    """

    input_names = ("input_ids",)
    output_names = ("logits",)

    def __init__(self, planted: int | None = PLANTED) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.planted = planted
        self.table, self.head = nn.Embedding(ROWS, WIDTH), nn.Linear(WIDTH, 2)
        layers, spike = [nn.Linear(WIDTH, WIDTH) for _ in range(LAYERS)], torch.zeros(WIDTH)
        spike[5] = 1e5
        layers[PLANTED].weight.data[:, 5] = 0
        self.layers, self.spike = nn.ModuleList(layers), nn.Parameter(spike)

    def forward(self, input_ids: torch.Tensor) -> tuple[torch.Tensor]:
        hidden: torch.Tensor = self.table(input_ids)
        for number, layer in enumerate(self.layers):
            hidden = hidden + layer(hidden + self.spike if number == self.planted else hidden)
        return (self.head(hidden.mean(1)),)

    def example_inputs(self, batch: int, length: int, dtype: str = "int64") -> dict[str, torch.Tensor]:
        return {"input_ids": torch.randint(0, ROWS, (batch, length))}


def view_of(*pieces: Piece) -> Any:
    return SimpleNamespace(
        pieces=pieces, kind="single", max_positions=16, max_unrolled=None,
        driver=lambda names, is_fixed: Single(graph=names[0][0]),
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("planted", [PLANTED, None])
def test_the_planted_layer_alone_is_kept_and_only_where_it_is_needed(planted: int | None, tmp_path: Path) -> None:
    piece = Stack(planted).eval()
    inputs = {"input_ids": np.array([one.input_ids for one in TOKENS])}
    inputs["attention_mask"] = np.ones_like(inputs["input_ids"])
    with torch.inference_mode():
        right = piece(torch.from_numpy(inputs["input_ids"]))[0].argmax(1).numpy()
    calibration = Calibration(tuple(("", None) for _ in TOKENS), tuple(TOKENS), "numbers")
    cfg = target.Config(scheme="auto", max_length=16)
    written = target.export(view_of(piece), cfg, tmp_path, calibration, judging(inputs, right))
    assert written.quantization is not None
    report = written.quantization.search
    assert report is not None
    kept = {part.name for part in report.parts if part.is_kept}
    assert kept == ({f"layers.{planted}"} if planted is not None else set())
    assert kept <= set(written.quantization.kept_float)
    assert len(report.parts) == LAYERS + 1, "every layer and the table; the head's few numbers are not worth it"
    assert report.trials[0].status == ("failed" if kept else "passed")
    assert (report.chosen.kept, report.chosen.status) == (len(kept), "passed")
    assert list(tmp_path.iterdir()) == [tmp_path / "model.pte"], "no trial is left behind"
    assert report.chosen.size_bytes == (tmp_path / "model.pte").stat().st_size
    method = Program(tmp_path / "model.pte").method("model")
    logits = method.execute([torch.from_numpy(inputs["input_ids"][:1])])[0]
    assert int(logits.argmax()) == right[0]


def test_what_is_kept_is_not_rounded_and_the_model_itself_never() -> None:
    piece, ids = Stack().eval(), torch.tensor([TOKENS[0].input_ids])
    before = piece(ids)[0].detach()
    everything = frozenset(numbers_of(piece))
    assert everything == {"table", *(f"layers.{n}" for n in range(LAYERS))}
    with torch.inference_mode():
        float_but_head, whole = rounded(piece, everything)(ids)[0], rounded(piece, frozenset())(ids)[0]
    assert torch.allclose(float_but_head, before, rtol=0.05)
    assert not torch.allclose(whole, before, rtol=0.05)
    assert torch.equal(piece(ids)[0].detach(), before)


def test_several_graphs_are_refused_before_the_conversion() -> None:
    with pytest.raises(ExportError, match=r"searches one graph; this model has 2.*exits=false"):
        convert._refuse_unfit(view_of(Stack(), Stack()), target.Config(scheme="auto"))
