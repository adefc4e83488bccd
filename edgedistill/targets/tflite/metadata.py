"""What MediaPipe and TFLite Task Library want to find in a .tflite file to read raw text with it.

They take a file with one graph that names its three inputs, says that a BERT tokenizer comes before them, and holds
vocabulary and labels: a flatbuffer by TensorFlow's `metadata_schema.fbs` in a buffer of the model, and the two files in
an uncompressed zip behind it. Neither library that writes them installs beside this Python. The model's own graphs are
not touched.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from edgedistill.artifacts import LABELS, Manifest
from edgedistill.progress import hushed
from edgedistill.quant.litert_weights import read, share_scales

VOCABULARY = "vocab.txt"
_INPUTS = {"input_ids": "ids", "attention_mask": "mask", "token_type_ids": "segment_ids"}
"""Hugging Face's names, and those the libraries look for."""
_SCORES = "probability"
"""What Task Library calls the output it reads, and without which it reads memory that is not its own."""
_ENTRY = "TFLITE_METADATA"
_IDENTIFIER = b"M001"
_PARSER = "1.1.0"
"""Of the schema that knows BERT tokenizers."""
_AXIS_LABELS, _VOCABULARY = 2, 5
"""`AssociatedFileType`."""
_FEATURES, _BERT_TOKENIZER = 1, 4
"""`ContentProperties` and `ProcessUnitOptions`."""
_NO_DATE = (1980, 1, 1, 0, 0, 0)
"""So that the same model always has the same bytes."""


@dataclass(frozen=True)
class _Byte:
    """An enumeration's value or a union's type."""

    value: int


_Value = str | _Byte | Mapping[int, Any] | Sequence[Any]
_Table = Mapping[int, _Value]
"""A table of the schema: the place of each field to its value."""


def pack(folder: Path, manifest: Manifest) -> tuple[str, ...]:
    """Put the metadata into the artifact's model file, where it is one those libraries can read.

    Args:
        folder: the artifact being made, with its vocabulary and labels.
        manifest: what is known of it so far.

    Returns:
        Names of the files packed in; none for a model of several lengths (MediaPipe refuses it), and for one that is no
        classifier of one text in words of a vocabulary.
    """
    if not _is_readable(manifest):
        return ()
    path = folder / manifest.graphs[0].file
    names = (VOCABULARY, LABELS)
    with hushed():
        model = read(path.read_bytes())
        _add(model, _metadata(model, manifest))
        share_scales(model)
        flatbuffer_utils.write_model(model, str(path))
    with zipfile.ZipFile(path, mode="a", compression=zipfile.ZIP_STORED) as packed:
        for name in names:
            packed.writestr(zipfile.ZipInfo(name, date_time=_NO_DATE), (folder / name).read_bytes())
    return names


def _is_readable(manifest: Manifest) -> bool:
    inputs = {tensor.name for graph in manifest.graphs for tensor in graph.inputs}
    return (
        len(manifest.graphs) == 1
        and manifest.task.kind == "single"
        and bool(manifest.labels)
        and manifest.tokenizer.file == VOCABULARY
        and manifest.tokenizer.kind == "wordpiece"
        and inputs == set(_INPUTS)
    )


def _metadata(model: Any, manifest: Manifest) -> bytes:
    """The flatbuffer about the model's one graph."""
    own = {one.tensorIndex: _text(one.name) for one in model.signatureDefs[0].inputs}
    vocabulary: _Table = {0: VOCABULARY, 1: "Words and word pieces, one a line.", 2: _Byte(_VOCABULARY)}
    labels: _Table = {0: LABELS, 1: "Class names in the order of the scores.", 2: _Byte(_AXIS_LABELS)}
    inputs = [_tensor(_INPUTS[own[place]], own[place]) for place in model.subgraphs[0].inputs]
    tokenizer: _Table = {0: _Byte(_BERT_TOKENIZER), 1: {0: [vocabulary]}}
    graph: _Table = {2: inputs, 3: [_tensor(_SCORES, "The logit of each class.", [labels])], 5: [tokenizer]}
    name = manifest.task.name or "classifier"
    return _written({0: name, 1: "Classifies one text.", 3: [graph], 5: manifest.licence, 7: _PARSER})


def _tensor(name: str, description: str, files: Sequence[_Table] = ()) -> _Table:
    table: dict[int, _Value] = {0: name, 1: description, 3: {0: _Byte(_FEATURES), 1: {}}}
    return {**table, 6: files} if files else table


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name


def _add(model: Any, metadata: bytes) -> None:
    """A buffer of the model with the metadata, and the entry that names it."""
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(metadata, dtype=np.uint8)
    model.buffers.append(buffer)
    entry = schema.MetadataT()
    entry.name, entry.buffer = _ENTRY, len(model.buffers) - 1
    model.metadata = [*(model.metadata or []), entry]


def _written(table: _Table) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(_place(builder, table), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def _place(builder: Any, value: _Value) -> int:
    """Write what a field refers to; its place in the buffer."""
    if isinstance(value, str):
        return int(builder.CreateString(value))
    if isinstance(value, Mapping):
        places = {slot: one if isinstance(one, _Byte) else _place(builder, one) for slot, one in value.items()}
        builder.StartObject(max(value, default=-1) + 1)
        for slot, one in places.items():
            if isinstance(one, _Byte):
                builder.PrependUint8Slot(slot, one.value, 0)
            else:
                builder.PrependUOffsetTRelativeSlot(slot, one, 0)
        return int(builder.EndObject())
    assert not isinstance(value, _Byte)
    entries = [_place(builder, one) for one in value]
    builder.StartVector(4, len(entries), 4)
    for one in reversed(entries):
        builder.PrependUOffsetTRelative(one)
    return int(builder.EndVector())
