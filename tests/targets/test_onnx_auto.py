"""Scheme auto: a planted sensitive weight is found and kept in float; a budget that cannot be met is refused."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgedistill.data.encoding import Encoding
from edgedistill.errors import BudgetError, ExportError
from edgedistill.gate.rungs import measure
from edgedistill.parity import Interval
from edgedistill.quant.calibration import Calibration
from edgedistill.quant.search import Judge, fewest_in_float
from edgedistill.reports import Rung
from edgedistill.runner import Arrays, Runner
from edgedistill.searches import SearchTrial
from edgedistill.targets.onnx import auto

ROWS, WIDTH, LAYERS = 64, 64, 6
TOKENS = [Encoding(tuple(np.random.default_rng(n).integers(0, ROWS, 12).tolist()), (0,) * 12) for n in range(48)]


def stack(planted: tuple[int, ...] = (3,)) -> onnx.ModelProto:
    """Token ids -> embedding -> six linears with residuals -> two logits.

    What a planted layer reads has one huge channel that its own weights ignore: in float nothing changes, in eight
    bits all other channels vanish in the rounding.
    """
    draw = np.random.default_rng(0)
    constants = {
        "table": draw.normal(size=(ROWS, WIDTH)).astype(np.float32),
        "head": draw.normal(size=(WIDTH, 2)).astype(np.float32),
    }
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["h0"])]
    for layer in range(LAYERS):
        weight = (draw.normal(size=(WIDTH, WIDTH)) / 8).astype(np.float32)
        spike = np.zeros(WIDTH, np.float32)
        if layer in planted:
            spike[5], weight[5] = 1e5, 0
        constants |= {f"layer{layer}": weight, f"spike{layer}": spike}
        nodes += [
            helper.make_node("Add", [f"h{layer}", f"spike{layer}"], [f"spiked{layer}"]),
            helper.make_node("MatMul", [f"spiked{layer}", f"layer{layer}"], [f"out{layer}"]),
            helper.make_node("Add", [f"h{layer}", f"out{layer}"], [f"h{layer + 1}"]),
        ]
    nodes += [
        helper.make_node("ReduceMean", [f"h{LAYERS}", "axis"], ["pooled"], keepdims=0),
        helper.make_node("MatMul", ["pooled", "head"], ["logits"]),
    ]
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    tensors.append(numpy_helper.from_array(np.array([1], np.int64), "axis"))
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "length"])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 2])
    graph = helper.make_graph(nodes, "stack", [ids], [logits], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.fixture
def calibration() -> Calibration:
    return Calibration(tuple(("", None) for _ in TOKENS), tuple(TOKENS), "numbers")


def judge_of(model: onnx.ModelProto, **budget: float) -> Judge:
    """Judges beside the float model."""
    inputs = {"input_ids": np.array([encoding.input_ids for encoding in TOKENS])}
    return judging(inputs, auto.runner_of(model)(inputs)["logits"].argmax(1), **budget)


def judging(inputs: Arrays, right: NDArray[np.int64], **budget: float) -> Judge:
    """The drop is the share of texts that are answered otherwise than is right."""

    def accuracy(runner: Runner) -> Rung:
        drop = 100 * float(np.mean(runner(inputs)["logits"].argmax(1) != right))
        measures = (
            measure("student_accuracy", 1.0),
            measure("artifact_accuracy", 1 - drop / 100),
            measure("drop_points", drop, 3.0, "<=", Interval(drop, drop - 1, drop + 1)),
            measure("recall_change_points/good", -drop),
        )
        status = "passed" if drop <= 3 else "failed"  # one text may flip
        return Rung(name="drop", title="drop", status=status, rows=len(right), measures=measures)

    return Judge(accuracy, lambda runner: 7.0, "accuracy", "numbers", max_drop=3.0, **budget)  # type: ignore[arg-type]


@pytest.mark.parametrize("planted", [(3,), (1, 4)])
def test_planted_sensitive_layers_are_found_and_no_other_is_kept(
    planted: tuple[int, ...], calibration: Calibration
) -> None:
    model = stack(planted)
    found, report = auto.search(stack(planted), "int8_dynamic", calibration, judge_of(model))
    names = {f"layer{layer}" for layer in planted}
    assert {part.name for part in report.parts if part.is_kept} == names
    assert {part.name for part in report.parts[: len(planted)]} == names, "they are the most sensitive"
    assert names <= set(found.kept_float)
    assert report.trials[0].kept == 0
    assert report.trials[0].status == "failed", "without them the metric is lost"
    assert (report.chosen.kept, report.chosen.status) == (len(planted), "passed")
    assert report.recall_change_points == {"good": -report.chosen.drop_points}
    assert f"{len(planted)} of 7 weights in float" in report.sentence
    products = [node.op_type for node in found.model.graph.node]
    assert products.count("MatMulIntegerToFloat") == LAYERS - len(planted)


def test_nothing_is_kept_where_nothing_needs_it(calibration: Calibration) -> None:
    model = stack(())
    _, report = auto.search(stack(()), "int8_dynamic", calibration, judge_of(model))
    assert (report.chosen.kept, len(report.trials)) == (0, 1)


@pytest.mark.parametrize(
    ("budget", "reason"),
    [
        ({"max_bytes": 30_000}, r"1 weights in float, which makes [\d,]+ bytes; max_bytes is 30,000"),
        ({"max_p90_ms": 5.0}, r"takes 7\.00 ms \(p90\); max_p90_ms is 5"),
    ],
)
def test_a_budget_that_cannot_be_met_is_refused(
    budget: dict[str, float], reason: str, calibration: Calibration
) -> None:
    with pytest.raises(BudgetError, match=f"the budget cannot be met: .*{reason}") as error:
        auto.search(stack(), "int8_dynamic", calibration, judge_of(stack(), **budget))
    assert error.value.exit_code == 1


def test_a_model_without_weights_is_refused(calibration: Calibration) -> None:
    model = stack()
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor)[..., :2], tensor.name))
    with pytest.raises(ExportError, match="finds no weight"):
        auto.search(model, "int8_dynamic", calibration, judge_of(stack()))


def trial_of(kept: int, is_well: bool) -> SearchTrial:
    status = "passed" if is_well else "inconclusive"
    return SearchTrial(kept=kept, size_bytes=1, status=status, score=1, drop_points=0, low=-2, high=2)  # type: ignore[arg-type]


def test_weights_that_turn_out_not_to_matter_are_given_back() -> None:
    ordered = [f"w{number}" for number in range(16)]
    needed = {"w2", "w6"}
    asked = []

    def try_with(kept: frozenset[str]) -> SearchTrial:
        asked.append(kept)
        return trial_of(len(kept), needed <= kept)

    assert fewest_in_float(ordered, try_with) == needed
    assert len(asked) < 16


def test_too_few_rows_are_said() -> None:
    with pytest.raises(BudgetError, match=r"with every weight in float .* inconclusive\. Give more rows"):
        fewest_in_float(["a", "b", "c"], lambda kept: trial_of(len(kept), is_well=False))
