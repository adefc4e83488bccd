"""What a phone needs beside the model: a tokenizer, names of the labels, and answers to test itself with."""

from __future__ import annotations

from collections.abc import Iterator

from edgedistill.artifacts import GOLDENS, LABELS
from edgedistill.pipeline.doctor.model import Model, roles_of
from edgedistill.pipeline.doctor.rules import Found

FORMATS = ("onnx", "tflite")
HINT = "An artifact of edgedistill export has all three: a wrong tokenizer or label order is no error, but a wrong app."
_TOKENIZERS = ("tokenizer.json", "vocab.txt", "tokenizer.model", "sentencepiece.model", "spiece.model")


def found(model: Model) -> Iterator[Found]:
    """Look beside the file and into what is packed in it."""
    folders = (model.path.parent, model.path.parent.parent)
    there = {path.name for folder in folders for path in folder.iterdir()} | set(model.packed)
    if any("input_ids" in roles_of(net).values() for net in model.nets) and not there & set(_TOKENIZERS):
        yield Found("warning", "no tokenizer.")
    if not any("label" in name.lower() for name in there) and "config.json" not in there:
        yield Found("warning", f"no {LABELS}.")
    if GOLDENS not in there:
        yield Found("warning", f"no {GOLDENS}.")
