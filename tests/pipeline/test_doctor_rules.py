"""doctor on model files: for every rule a file that it speaks of, and one that it does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from edgedistill.errors import ArtifactError
from edgedistill.pipeline.doctor import doctor, rules
from edgedistill.pipeline.doctor.model import open_model
from edgedistill.pipeline.doctor.signs import Sign
from tests.made import write_tokenizer
from tests.pipeline.model_files import FLOAT, INT32, INT64, write_onnx, write_tflite

node = helper.make_node
FREE, FIXED = ["batch", "length"], [1, 4]
IDS = {"input_ids": (INT64, FREE)}


def signs_of(path: Path) -> dict[str, Sign]:
    return {sign.name: sign for sign in doctor(path).signs}


def masked(path: Path, lowest: float) -> Path:
    """attention_mask -> (1 - mask) x lowest -> softmax."""
    nodes = [
        node("Cast", ["attention_mask"], ["mask"], to=FLOAT),
        node("Sub", ["one", "mask"], ["away"]),
        node("Mul", ["away", "lowest"], ["bias"]),
        node("Softmax", ["bias"], ["logits"]),
    ]
    constants = {"one": np.float32(1), "lowest": np.array(lowest, np.float32)}
    return write_onnx(path, nodes, {"attention_mask": (INT64, FREE)}, ["logits"], constants)


def pooled(path: Path, is_safe: bool) -> Path:
    """A mean over real tokens, guarded against there being none or not."""
    nodes = [
        node("Cast", ["attention_mask"], ["mask"], to=FLOAT),
        node("ReduceSum", ["mask"], ["count"]),
        node("Max", ["count", "one"], ["some"]) if is_safe else node("Identity", ["count"], ["some"]),
        node("Div", ["count", "some"], ["logits"]),
    ]
    return write_onnx(path, nodes, {"attention_mask": (INT64, FREE)}, ["logits"], {"one": np.float32(1)})


def typed(path: Path, kind: int, shape: list[object]) -> Path:
    return write_onnx(
        path, [node("Cast", ["input_ids"], ["logits"], to=FLOAT)], {"input_ids": (kind, shape)}, ["logits"]
    )


def reshaped(path: Path, shape: list[int], batch: list[object]) -> Path:
    nodes = [node("Relu", ["x"], ["y"]), node("Reshape", ["y", "shape"], ["logits"])]
    return write_onnx(path, nodes, {"x": (FLOAT, batch)}, ["logits"], {"shape": np.array(shape, np.int64)})


def normed(path: Path, is_fused: bool) -> Path:
    """LayerNorm as one operator, and written out."""
    if is_fused:
        nodes = [node("LayerNormalization", ["x", "gain"], ["logits"])]
    else:
        nodes = [
            node("ReduceMean", ["x", "axis"], ["mean"]),
            node("Sub", ["x", "mean"], ["away"]),
            node("Pow", ["away", "two"], ["square"]),
            node("ReduceMean", ["square", "axis"], ["variance"]),
            node("Sqrt", ["variance"], ["root"]),
            node("Div", ["away", "root"], ["logits"]),
        ]
    constants = {"gain": np.ones(4, np.float32), "axis": np.array([-1], np.int64), "two": np.float32(2)}
    return write_onnx(path, nodes, {"x": (FLOAT, FIXED)}, ["logits"], constants)


def activated(path: Path, form: str) -> Path:
    """GELU as one operator, by Erf, and by Tanh of a third power; a plain Tanh is none."""
    nodes = {
        "gelu": [node("Gelu", ["x"], ["logits"])],
        "plain": [node("Tanh", ["x"], ["logits"])],
        "erf": [node("Erf", ["x"], ["logits"])],
        "tanh": [
            node("Pow", ["x", "three"], ["cube"]),
            node("Add", ["cube", "x"], ["sum"]),
            node("Tanh", ["sum"], ["logits"]),
        ],
    }[form]
    return write_onnx(path, nodes, {"x": (FLOAT, FIXED)}, ["logits"], {"three": np.float32(3)})


def attended(path: Path, is_fused: bool) -> Path:
    inputs = {"q": (FLOAT, [1, 4, 8]), "k": (FLOAT, [1, 8, 4]), "v": (FLOAT, [1, 4, 8])}
    if is_fused:
        nodes = [node("MultiHeadAttention", ["q", "q", "v"], ["logits"], domain="com.microsoft", num_heads=2)]
    else:
        nodes = [
            node("MatMul", ["q", "k"], ["scores"]),
            node("Softmax", ["scores"], ["shares"]),
            node("MatMul", ["shares", "v"], ["logits"]),
        ]
    return write_onnx(path, nodes, inputs, ["logits"])


def scaled(path: Path, factor: float) -> Path:
    """Word embeddings, times a factor; a tokenizer beside the file."""
    write_tokenizer(path.parent)
    nodes = [node("Gather", ["table", "input_ids"], ["rows"]), node("Mul", ["rows", "factor"], ["logits"])]
    constants = {"table": np.ones((8, 4), np.float32), "factor": np.float32(factor)}
    return write_onnx(path, nodes, IDS, ["logits"], constants)


def looked_up(path: Path, rows: int) -> Path:
    """An int8 table with one scale, or one for each row."""
    nodes = [
        node("DequantizeLinear", ["table", "scale"], ["wide"], axis=0),
        node("Gather", ["wide", "input_ids"], ["logits"]),
    ]
    scale = np.ones(rows, np.float32) if rows > 1 else np.float32(1)
    return write_onnx(path, nodes, IDS, ["logits"], {"table": np.ones((8, 4), np.int8), "scale": scale})


def looked_up_tflite(path: Path, scales: int) -> Path:
    table = ("table", "INT8", [8, 4], np.ones((8, 4), np.int8), scales)
    tensors = [("ids", "INT32", [4], None, 0), table, ("logits", "INT8", [4, 4], None, 1)]
    return write_tflite(path, [("EMBEDDING_LOOKUP", 3, [0, 1], [2])], tensors, [0], [2])


def multiplied(path: Path, scales: int) -> Path:
    """Float activations times int8 weights."""
    weights = ("weights", "INT8", [4, 4], np.ones((4, 4), np.int8), scales)
    tensors = [("x", "FLOAT32", [1, 4], None, 0), weights, ("logits", "FLOAT32", [1, 4], None, 0)]
    return write_tflite(path, [("FULLY_CONNECTED", 5, [0, 1], [2])], tensors, [0], [2])


def one_operator(path: Path, op: str, version: int, kind: str = "FLOAT32") -> Path:
    tensors = [("x", kind, [1, 4], None, 0), ("logits", "FLOAT32", [1, 4], None, 0)]
    return write_tflite(path, [(op, version, [0], [1])], tensors, [0], [1])


def cast(path: Path, kind: str) -> Path:
    return one_operator(path, "CAST", 1, kind)


COMPANIONS = ("vocab.txt", "labels.txt", "golden.jsonl")


def with_companions(path: Path, *names: str) -> Path:
    for name in names:
        (path.parent / name).touch()
    return cast(path, "INT32")


Build = Callable[[Path], Path]
ONNX_FILES: list[tuple[str, str, Build, Build]] = [
    ("mask_constant", "warning", lambda p: masked(p, -3.4e38), lambda p: masked(p, -1e4)),
    ("mask_constant", "warning", lambda p: masked(p, -np.inf), lambda p: masked(p, -1e4)),
    ("all_padding", "broken", lambda p: pooled(p, False), lambda p: pooled(p, True)),
    ("int64_io", "note", lambda p: typed(p, INT64, FREE), lambda p: typed(p, INT32, FREE)),
    ("int64_io", "warning", lambda p: typed(p, INT64, FIXED), lambda p: typed(p, INT32, FIXED)),
    ("free_sizes", "note", lambda p: typed(p, INT32, FREE), lambda p: typed(p, INT32, FIXED)),
    ("batch_of_one", "warning", lambda p: typed(p, INT32, [1, "length"]), lambda p: typed(p, INT32, FREE)),
    ("batch_of_one", "broken", lambda p: reshaped(p, [1, 2, 2], FREE), lambda p: reshaped(p, [-1, 2, 2], FREE)),
    ("five_axes", "warning", lambda p: reshaped(p, [1, 1, 1, 2, 2], FIXED), lambda p: reshaped(p, [1, 1, 2, 2], FIXED)),
    ("unfused_layer_norm", "warning", lambda p: normed(p, False), lambda p: normed(p, True)),
    ("unfused_gelu", "warning", lambda p: activated(p, "erf"), lambda p: activated(p, "gelu")),
    ("unfused_gelu", "warning", lambda p: activated(p, "tanh"), lambda p: activated(p, "plain")),
    ("unfused_attention", "note", lambda p: attended(p, False), lambda p: attended(p, True)),
    ("float16_range", "warning", lambda p: scaled(p, 7e4), lambda p: scaled(p, 1.0)),
    ("float16_range", "note", lambda p: scaled(p, 4e4), lambda p: scaled(p, 1.0)),
    ("per_tensor_embedding", "warning", lambda p: looked_up(p, 1), lambda p: looked_up(p, 8)),
    ("foreign_operators", "note", lambda p: attended(p, True), lambda p: attended(p, False)),
    ("accelerators", "note", lambda p: attended(p, True), lambda p: activated(p, "plain")),
]  # fmt: skip
TFLITE_FILES: list[tuple[str, str, Build, Build]] = [
    ("per_tensor_embedding", "warning", lambda p: looked_up_tflite(p, 1), lambda p: looked_up_tflite(p, 8)),
    ("old_runtime", "warning", lambda p: multiplied(p, 4), lambda p: multiplied(p, 1)),
    ("oldest_runtime", "warning", lambda p: one_operator(p, "GATHER_ND", 5), lambda p: one_operator(p, "GATHER_ND", 4)),
    ("int64_io", "broken", lambda p: cast(p, "INT64"), lambda p: cast(p, "INT32")),
    ("foreign_operators", "broken", lambda p: one_operator(p, "CUSTOM", 1), lambda p: one_operator(p, "TANH", 1)),
    ("accelerators", "note", lambda p: one_operator(p, "GATHER_ND", 1), lambda p: one_operator(p, "TANH", 1)),
    ("companions", "warning", lambda p: with_companions(p), lambda p: with_companions(p, *COMPANIONS)),
]  # fmt: skip
FILES = [(*row, ".onnx") for row in ONNX_FILES] + [(*row, ".tflite") for row in TFLITE_FILES]


@pytest.mark.parametrize(("rule", "status", "bad", "good", "kind"), FILES)
def test_a_rule_speaks_of_the_bad_file_and_not_of_the_good_one(
    rule: str, status: str, bad: Build, good: Build, kind: str, tmp_path: Path
) -> None:
    for name in ("bad", "good"):
        (tmp_path / name / "model").mkdir(parents=True)
    found = signs_of(bad(tmp_path / "bad" / "model" / f"model{kind}"))[rule]
    assert found.status == status
    assert found.detail.endswith(rules.load(rule).HINT)
    quiet = signs_of(good(tmp_path / "good" / "model" / f"model{kind}"))
    assert quiet[rule].status == "ok" if rule in quiet else rule in quiet["rules"].detail


def test_every_rule_is_tried_and_has_a_hint() -> None:
    assert {row[0] for row in FILES} == set(rules.names())
    for name in rules.names():
        rule = rules.load(name)
        assert set(rule.FORMATS) <= {"onnx", "tflite"}
        assert rule.HINT.endswith(".")
        assert rule.__doc__


def test_opsets_beyond_the_oldest_runtime_are_named(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "m.onnx", [node("Relu", ["x"], ["y"])], {"x": (FLOAT, FIXED)}, ["y"], opset=21)
    assert "opset 21; ONNX Runtime 1.17 knows up to 20" in signs_of(path)["oldest_runtime"].detail


def test_squares_inside_a_norm_are_predicted(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    nodes = [node("Gather", ["table", "input_ids"], ["x"]), node("LayerNormalization", ["x", "gain"], ["y"], name="n")]
    constants = {"table": np.full((8, 4), 300, np.float32), "gain": np.ones(4, np.float32)}
    found = signs_of(write_onnx(tmp_path / "m.onnx", nodes, IDS, ["y"], constants))["float16_range"]
    assert found.status == "warning"
    assert "the norm 'n' squares 300: 9e+04" in found.detail


def test_what_cannot_be_looked_at_is_said(tmp_path: Path) -> None:
    found = signs_of(typed(tmp_path / "model.onnx", INT64, FREE))
    assert (found["float16_range"].status, found["all_padding"].status) == ("missing", "missing")
    assert "no tokenizer.json" in found["float16_range"].detail


def test_operators_of_nobody_are_broken_and_end_nothing(tmp_path: Path) -> None:
    nodes = [node("Mystery", ["x"], ["y"], domain="example.org")]
    found = signs_of(write_onnx(tmp_path / "m.onnx", nodes, {"x": (FLOAT, FIXED)}, ["y"]))
    assert (found["foreign_operators"].status, found["accelerators"].status) == ("broken", "missing")
    assert "example.org.Mystery" in found["foreign_operators"].detail
    assert "ONNX Runtime refuses it" in found["accelerators"].detail


def test_the_first_node_left_is_named(tmp_path: Path) -> None:
    nodes = [node("Relu", ["x"], ["y"]), node("Erf", ["y"], ["z"], name="first"), node("Erf", ["z"], ["w"])]
    detail = signs_of(write_onnx(tmp_path / "m.onnx", nodes, {"x": (FLOAT, FIXED)}, ["w"]))["accelerators"].detail
    assert "QNN: 1 of 3 nodes in 1 piece; first left: Erf 'first'" in detail


@pytest.mark.parametrize("name", ["m.onnx", "m.tflite", "m.bin"])
@pytest.mark.parametrize("content", [b"", b"\x08\x07junk", b"\x1c\x00\x00\x00TFL3" + b"\xff" * 64])
def test_files_that_are_none_are_refused(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"cut short or no|of no kind that doctor reads"):
        open_model(path)
