"""Faults that benchmarks/gate.py plants into real artifacts, each with the names under which it may be caught."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import edgedistill
from edgedistill.artifacts import CALIBRATION, GOLDENS, LABELS, MANIFEST, REFERENCE, file_entry, read_manifest

MODEL, FLOAT, INTEGER, LITERT = "model.onnx", "onnx-fp32", "onnx-int8_dynamic", "tflite-int8_weight"
Values = dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """One way in which an artifact can be wrong.

    Attributes:
        title: for people.
        names: findings that name it.
        plant: damages a folder.
        base: artifact it is planted in.
    """

    title: str
    names: frozenset[str]
    plant: Callable[[Path], None]
    base: str = FLOAT


def edit_manifest(folder: Path, change: Callable[[Values], None]) -> None:
    """Change the manifest's values in place."""
    path = folder / MANIFEST
    values = json.loads(path.read_text(encoding="utf-8"))
    change(values)
    path.write_text(json.dumps(values), encoding="utf-8")


def hide(folder: Path) -> None:
    """Make the manifest's hashes fit the files again."""
    listed = [file_entry(folder, folder / one.path, one.role) for one in read_manifest(folder).files]
    tokenizer = next(one.sha256 for one in listed if one.path == "tokenizer.json")

    def change(values: Values) -> None:
        values["files"] = [one.model_dump(mode="json") for one in listed]
        values["tokenizer"]["sha256"] = tokenizer

    edit_manifest(folder, change)


def edit_graph(change: Callable[[onnx.GraphProto], None], folder: Path) -> None:
    """Change the ONNX graph and hide that."""
    model = onnx.load(folder / MODEL)
    change(model.graph)
    onnx.save(model, folder / MODEL)
    hide(folder)


def behind_logits(operator: str, graph: onnx.GraphProto, value: Any = None, **attributes: Any) -> None:
    """Put one more operator behind the logits."""
    for node in graph.node:
        node.output[:] = ["own_logits" if name == "logits" else name for name in node.output]
    inputs = ["own_logits"]
    if value is not None:
        graph.initializer.append(numpy_helper.from_array(np.asarray(value), "planted"))
        inputs.append("planted")
    graph.node.append(helper.make_node(operator, inputs, ["logits"], **attributes))


def rotate_classes(graph: onnx.GraphProto) -> None:
    """The first class comes out as the second, and so on."""
    count = graph.output[0].type.tensor_type.shape.dim[1].dim_value
    behind_logits("Gather", graph, np.roll(np.arange(count), 1), axis=1)


def ignore_mask(graph: onnx.GraphProto) -> None:
    """Ones instead of the attention mask."""
    one = helper.make_tensor("one", TensorProto.INT64, [1], [1])
    for node in graph.node:
        node.input[:] = ["all_ones" if name == "attention_mask" else name for name in node.input]
    graph.node.insert(0, helper.make_node("ConstantOfShape", ["its_shape"], ["all_ones"], value=one))
    graph.node.insert(0, helper.make_node("Shape", ["attention_mask"], ["its_shape"]))


def weights(graph: onnx.GraphProto, types: Iterable[int]) -> list[onnx.TensorProto]:
    """Matrices of some types, the largest first."""
    found = [one for one in graph.initializer if one.data_type in types and len(one.dims) == 2]
    return sorted(found, key=lambda one: -int(np.prod(one.dims)))


def spoil(graph: onnx.GraphProto, change: Callable[[Any], Any], types: Iterable[int], most: int | None = None) -> None:
    """Change the values of matrices."""
    for one in weights(graph, types)[:most]:
        one.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(one).copy()), one.name))


def redrawn(values: Any) -> Any:
    """Random numbers of the same size."""
    return np.random.default_rng(0).normal(scale=values.std(), size=values.shape).astype(values.dtype)


def with_nan(values: Any) -> Any:
    """One of a matrix's numbers is none."""
    values[tuple(size // 2 for size in values.shape)] = np.nan
    return values


def coarse(values: Any) -> Any:
    """Three levels of 8-bit numbers: a table that one outlier's scale has emptied."""
    return (np.round(values / 64.0) * 64).clip(*_range_of(values)).astype(values.dtype)


def _range_of(values: Any) -> tuple[int, int]:
    known = np.iinfo(values.dtype)
    return known.min, known.max


def drop_layer(folder: Path) -> None:
    """The model file of the student without its second layer."""
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

    source = read_manifest(folder).source.path
    model = AutoModelForSequenceClassification.from_pretrained(source)
    layers = next(one for name, one in model.named_modules() if name.endswith("encoder.layer"))
    del layers[1]
    config = AutoConfig.from_pretrained(source)
    config.num_hidden_layers -= 1
    with tempfile.TemporaryDirectory() as place:
        model.config = config
        model.save_pretrained(f"{place}/shorter")
        AutoTokenizer.from_pretrained(source).save_pretrained(f"{place}/shorter")
        made = edgedistill.export(f"{place}/shorter", target="onnx", out=f"{place}/made")
        shutil.copy(made / MODEL, folder / MODEL)
    hide(folder)


def edit_tokenizer(folder: Path, normaliser: Values, described: Values) -> None:
    """Other rules for text in tokenizer.json, and in what the manifest says of it."""
    path = folder / "tokenizer.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    stored["normalizer"] |= normaliser
    path.write_text(json.dumps(stored), encoding="utf-8")
    hide(folder)
    edit_manifest(folder, lambda values: values["tokenizer"].update(described))


def shuffle_words(folder: Path) -> None:
    """Another vocabulary of the same size, in both files."""
    path = folder / "tokenizer.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    names = sorted(stored["model"]["vocab"], key=stored["model"]["vocab"].get)
    common = slice(1000, len(names))
    names[common] = names[common][1:] + names[common][:1]
    stored["model"]["vocab"] = {name: number for number, name in enumerate(names)}
    path.write_text(json.dumps(stored), encoding="utf-8")
    (folder / "vocab.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    hide(folder)


def edit_text(name: str, change: Callable[[str], str], folder: Path, hidden: bool = True) -> None:
    """Change a file as text."""
    path = folder / name
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    if hidden:
        hide(folder)


def edit_rows(name: str, change: Callable[[list[Values]], list[Values]], folder: Path) -> None:
    """Change a .jsonl file's rows and hide that."""
    lines = (folder / name).read_text(encoding="utf-8").split("\n")
    rows = change([json.loads(line) for line in lines if line])
    edit_text(name, lambda _: "".join(json.dumps(row) + "\n" for row in rows), folder)


def edit_bytes(change: Callable[[bytes], bytes], folder: Path) -> None:
    """Change the model file and say nothing."""
    path = folder / read_manifest(folder).graphs[0].file
    path.write_bytes(change(path.read_bytes()))


def flipped(content: bytes) -> bytes:
    """One byte in the middle is another."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]


def swap_labels(folder: Path) -> None:
    """The names of two classes, wherever they are written."""

    def change(values: Values) -> None:
        values["labels"][:2] = values["labels"][1::-1]

    edit_manifest(folder, change)
    names = read_manifest(folder).labels
    edit_text(LABELS, lambda _: "".join(f"{name}\n" for name in names), folder)


def swap_signatures(folder: Path) -> None:
    """Each length asks for the graph of another one."""

    def change(values: Values) -> None:
        names = [graph["signature"] for graph in values["graphs"]]
        for graph, name in zip(values["graphs"], names[1:] + names[:1], strict=True):
            graph["signature"] = name

    edit_manifest(folder, change)


def judged_as_calibration(folder: Path) -> None:
    """Calibration text is of the split that judges, and the manifest's own hash of it is right."""
    judged = [json.loads(line)["text"] for line in (folder / REFERENCE).read_text(encoding="utf-8").splitlines()]
    edit_rows(CALIBRATION, lambda rows: [row | {"text": text} for row, text in zip(rows, judged, strict=False)], folder)
    sha256 = next(one.sha256 for one in read_manifest(folder).files if one.path == CALIBRATION)

    def change(values: Values) -> None:
        values["quantization"]["calibration_sha256"] = sha256

    edit_manifest(folder, change)


def of_who(who: str, change: Callable[[list[Any]], list[Any]], rows: list[Values]) -> list[Values]:
    """Rows with other stored answers of the teacher or the student."""
    return [row | {who: value} for row, value in zip(rows, change([row[who] for row in rows]), strict=True)]


def outside(values: Values) -> None:
    """A file of the manifest lies outside the folder."""
    values["files"][0]["path"] = "../../../etc/passwd"


def no_numbers(found: list[Any]) -> list[Any]:
    """Answers of nothing but NaN."""
    return [[float("nan")] * len(found[0])] * len(found)


def turned(found: list[Any]) -> list[Any]:
    """Each row has the answer of another one."""
    return found[7:] + found[:7]


_F, _I8 = (TensorProto.FLOAT,), (TensorProto.INT8, TensorProto.UINT8)


def _fault(title: str, names: str, plant: Callable[[Path], None], base: str = FLOAT) -> Fault:
    return Fault(title, frozenset(names.split()), plant, base)


FAULTS = (
    _fault("model file cut short", "truncated_file", partial(edit_bytes, lambda content: content[:-1000])),
    _fault("one byte of the model file changed", "stale_manifest", partial(edit_bytes, flipped), LITERT),
    _fault("goldens deleted", "missing_file", lambda folder: (folder / GOLDENS).unlink()),
    _fault("goldens cut in a line", "unreadable_goldens", partial(edit_text, GOLDENS, lambda text: text[:-40])),
    _fault("a path outside the folder", "path_outside_folder", lambda folder: edit_manifest(folder, outside)),
    _fault("names of two labels swapped", "swapped_labels", swap_labels, INTEGER),
    _fault("a label missing", "other_labels swapped_labels",
           partial(edit_text, LABELS, lambda text: text.partition("\n")[2])),
    _fault("the model's classes in another order", "swapped_labels", partial(edit_graph, rotate_classes)),
    _fault("another vocabulary", "wrong_vocabulary", shuffle_words),
    _fault("another word list for phones", "wrong_vocabulary",
           partial(edit_text, "vocab.txt", lambda text: "[unused]\n" + text), LITERT),
    _fault("capitals kept", "wrong_normalisation",
           partial(edit_tokenizer, normaliser={"lowercase": False}, described={"lowercase": False})),
    _fault("accents kept", "wrong_normalisation",
           partial(edit_tokenizer, normaliser={"strip_accents": False}, described={"strip_accents": False})),
    _fault("the manifest alone says cased", "wrong_normalisation",
           partial(edit_tokenizer, normaliser={}, described={"lowercase": False})),
    _fault("random weights", "random_weights", partial(edit_graph, partial(spoil, change=redrawn, types=_F))),
    _fault("a layer dropped", "layer_dropped", drop_layer),
    _fault("probabilities instead of logits", "softmax_applied",
           partial(edit_graph, partial(behind_logits, "Softmax", axis=-1))),
    _fault("the sign flipped", "sign_flipped", partial(edit_graph, partial(behind_logits, "Neg"))),
    _fault("another unit", "outputs_rescaled",
           partial(edit_graph, partial(behind_logits, "Mul", value=np.float32(3)))),
    _fault("the same answer to every text", "constant_answers",
           partial(edit_graph, partial(behind_logits, "Mul", value=np.float32(0)))),
    _fault("a weight that is no number", "not_finite", partial(edit_graph, partial(spoil, change=with_nan, types=_F))),
    _fault("the mask ignored", "mask_ignored", partial(edit_graph, ignore_mask)),
    _fault("an integer table with one scale's levels left", "quantization_loss",
           partial(edit_graph, partial(spoil, change=coarse, types=_I8, most=1)), INTEGER),
    _fault("a length that asks for another's graph", "lengths_differ cannot_run cannot_open", swap_signatures, LITERT),
    _fault("calibration text changed afterwards", "stale_calibration",
           partial(edit_rows, CALIBRATION, lambda rows: rows[:-1]), INTEGER),
    _fault("calibrated on rows that judge", "calibrated_on_judges", judged_as_calibration, INTEGER),
    _fault("a judged row twice", "unreadable_goldens", partial(edit_rows, REFERENCE, lambda rows: [*rows, rows[0]])),
    _fault("a teacher at chance", "teacher_at_chance constant_answers",
           partial(edit_rows, REFERENCE, partial(of_who, "teacher", turned))),
    _fault("a teacher that answers no numbers", "not_finite unreadable_goldens",
           partial(edit_rows, REFERENCE, partial(of_who, "teacher", no_numbers))),
    _fault("a student at chance", "student_at_chance",
           partial(edit_rows, REFERENCE, partial(of_who, "student", turned))),
)  # fmt: skip
