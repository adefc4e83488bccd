"""An artifact with a real BERT tokenizer and goldens that its tokens agree with; the model file is just bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgedistill import files
from edgedistill.artifacts import Golden, Graph, Single, Tensor, TokenizerSpec, file_entry, read_manifest
from edgedistill.data.encoding import encode, load_tokenizer
from tests.made import write_artifact, write_verdict
from tests.support import tiny_tokenizer

TEXTS = ("good film", "a dull plot, and ÉTUDE!", "", "中 good\u2028film \U0001f600")
SPECIAL = {"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4}


def write_app_artifact(folder: Path, **changes: Any) -> Path:
    """Like `write_artifact`, and passed by its gate."""
    write_artifact(folder)
    tokenizer = tiny_tokenizer()
    tokenizer.save_pretrained(folder)
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1])
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word, _ in vocabulary), encoding="utf-8")
    (folder / "config.json").write_text('{"embedding_size": 16}', encoding="utf-8")
    rows = [
        Golden(text=text, input_ids=one.input_ids, token_type_ids=one.token_type_ids, student={"logits": [0.0, 1.0]},
               artifact={"logits": [0.0, 1.0]}, tolerance={"logits": 1e-4})
        for text, one in zip(TEXTS, encode(load_tokenizer(folder), TEXTS, None, 16), strict=True)
    ]  # fmt: skip
    lines = [json.dumps(row.model_dump(mode="json")) + "\n" for row in rows]
    (folder / "golden.jsonl").write_text("".join(lines), encoding="utf-8")
    labels = changes.get("labels", ("negative", "positive"))
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")
    roles = {"model.onnx": "model", "labels.txt": "labels", "golden.jsonl": "golden", "reference.jsonl": "reference",
             "tokenizer.json": "tokenizer", "vocab.txt": "tokenizer", "config.json": "config"}  # fmt: skip
    specials = {name: tokenizer.get_vocab()[f"[{name.upper()}]"] for name in SPECIAL}
    inputs = tuple(Tensor(name=n, dtype="int64", shape=("b", "s")) for n in ("input_ids", "attention_mask"))
    logits = Tensor(name="logits", dtype="float32", shape=("b", 2))
    graph = Graph(name="main", file="model.onnx", inputs=inputs, outputs=(logits,))
    spec = TokenizerSpec(
        kind="wordpiece", file="vocab.txt", sha256=files.sha256_of(folder / "tokenizer.json"),
        vocab_size=len(vocabulary), lowercase=True, strip_accents=None, special_ids=specials, max_length=16,
    )  # fmt: skip
    manifest = read_manifest(folder).model_copy(
        update={
            "graphs": (graph,), "driver": Single(graph="main"), "tokenizer": spec,
            "files": tuple(file_entry(folder, folder / name, role) for name, role in roles.items()), **changes,
        }
    )  # fmt: skip
    files.write_json(folder / "manifest.json", manifest.model_dump(mode="json"))
    write_verdict(folder)
    return folder
