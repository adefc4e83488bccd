"""Artifact folders and verdicts written by hand: whole in form, with no model in them, made without torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers

from edgedistill import files, reports
from edgedistill.artifacts import (
    Environment,
    Golden,
    Graph,
    Manifest,
    ReferenceRow,
    Single,
    Source,
    TaskCard,
    Tensor,
    TokenizerSpec,
    file_entry,
)
from edgedistill.reports import Finding, Measure, Rung, Verdict

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film")
HERE = Environment(python="3.11.0", system="Linux x86_64", cpu="a processor", packages={})


def write_tokenizer(folder: Path) -> Path:
    """A WordPiece tokenizer.json over `WORDS`."""
    tokenizer = Tokenizer(models.WordPiece({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    path = folder / "tokenizer.json"
    tokenizer.save(str(path))
    return path


def write_artifact(folder: Path, **changes: Any) -> Path:
    """An artifact whose model file is just bytes; `changes` replace fields of the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(b"a model" * 100)
    (folder / "labels.txt").write_text("negative\npositive\n", encoding="utf-8")
    row = ReferenceRow(row_id="0", text="good film", label=1, teacher=[0.0, 1.0], student=[0.0, 1.0])
    (folder / "reference.jsonl").write_text(json.dumps(row.model_dump(mode="json")) + "\n", encoding="utf-8")
    golden = Golden(
        text="good\u2028film", input_ids=(2, 5, 7, 3), token_type_ids=(0,) * 4, student={"logits": [0.0, 1.0]},
        artifact={"logits": [0.0, 1.0]}, tolerance={"logits": 1e-4},
    )  # fmt: skip
    goldens = json.dumps(golden.model_dump(mode="json"), ensure_ascii=False) + "\n"  # U+2028 ends no line of JSON
    (folder / "golden.jsonl").write_text(goldens, encoding="utf-8")
    tokenizer = write_tokenizer(folder)
    roles = {"model.onnx": "model", "labels.txt": "labels", "golden.jsonl": "golden", "reference.jsonl": "reference",
             "tokenizer.json": "tokenizer"}  # fmt: skip
    ids = Tensor(name="input_ids", dtype="int64", shape=("batch", "sequence"))
    manifest = Manifest(
        created="2026-01-01T00:00:00+00:00",
        command="edgedistill export student",
        environment=HERE,
        source=Source(path="student", sha256="0" * 64, family="bert", parameters=10),
        task=TaskCard(name="sst2", kind="single", metric="accuracy"),
        labels=("negative", "positive"),
        target="onnx",
        scheme="fp32",
        graphs=(Graph(name="main", file="model.onnx", inputs=(ids,), outputs=()),),
        driver=Single(graph="main"),
        tokenizer=TokenizerSpec(
            kind="wordpiece", file="tokenizer.json", sha256=files.sha256_of(tokenizer), vocab_size=len(WORDS),
            lowercase=False, strip_accents=False, handle_chinese_chars=False, special_ids={"pad": 0}, max_length=128,
        ),
        files=tuple(file_entry(folder, folder / name, role) for name, role in roles.items()),
        licence="apache-2.0",
    )  # fmt: skip
    reports.save(manifest.model_copy(update=changes), folder / "manifest.json")
    return folder


def write_verdict(folder: Path, status: str = "passed", **changes: Any) -> Verdict:
    """A parity.json for the artifact in `folder`."""
    rung = Rung(
        name="student_to_artifact",
        title="student -> artifact",
        status=status,  # type: ignore[arg-type]
        reason="" if status == "passed" else "agreement too low",
        rows=40,
        measures=(Measure(name="agreement", value=0.99 if status == "passed" else 0.5, limit=0.98, relation=">="),),
        findings=() if status == "passed" else (Finding(name="swapped_labels", message="labels 0 and 1 are swapped"),),
    )
    verdict = Verdict(
        created="2026-01-01T00:00:00+00:00",
        command="edgedistill check artifact",
        environment=HERE,
        artifact=folder.name,
        manifest_sha256=files.sha256_of(folder / "manifest.json"),
        status=status,  # type: ignore[arg-type]
        rungs=(rung, Rung(name="phone", title="on the phone", status="not_run", reason="no phone attached")),
    ).model_copy(update=changes)
    reports.save(verdict, folder / "parity.json")
    return verdict
