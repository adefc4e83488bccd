"""Artifacts whose runtime is PyTorch, so that every fault can be planted in milliseconds and nothing else differs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgedistill import artifacts
from edgedistill.artifacts import Buckets, Golden, Manifest, ReferenceRow
from edgedistill.config import build
from edgedistill.data.encoding import Encoding, clean, encode, load_tokenizer
from edgedistill.data.probes import ADVERSARIAL, PLAIN
from edgedistill.evaluate import answer_texts, predict
from edgedistill.gate.tolerances import read_tolerances
from edgedistill.models.answers import torch_runner
from edgedistill.pipeline import check
from edgedistill.reports import Rung
from edgedistill.runner import answer_in_buckets
from tests.support import LABELS, save_checkpoint, sentences, tiny_model

MAX_LENGTH = 64
LAYERS = 3
SEEDS = {"bert": 0, "distilbert": 1, "mobilebert": 7, "roberta": 1}
"""Of weights whose answers differ between texts: both classes are given, to a third of the texts at least."""
METRICS = {"regression": "pearson_spearman", "span": "squad_f1"}


@dataclass
class Planted:
    """An artifact folder, the model it pretends to hold, and the student it was made from.

    Attributes:
        folder: the artifact.
        student_folder: the student's Hugging Face folder.
        student: the student.
        model: what the artifact runs; the student itself until a fault is planted.
        wrap: changes the runner of the artifact.
    """

    folder: Path
    student_folder: Path
    student: Any
    model: Any
    wrap: Callable[[Any], Any] = lambda runner: runner

    @property
    def manifest(self) -> Manifest:
        return artifacts.read_manifest(self.folder)

    def rungs(self, *settings: str, with_student: bool = True) -> dict[str, Rung]:
        """The ladder's rungs by name."""
        tolerances, _ = read_tolerances(settings)
        finder = check.find_student if with_student else (lambda folder, manifest: None)
        rungs = check.judge(
            self.folder,
            self.manifest,
            tolerances,
            opener=lambda folder, manifest: self.wrap(self._open(manifest)),
            student_finder=finder,
        )
        return {rung.name: rung for rung in rungs}

    def _open(self, manifest: Manifest) -> Any:
        runner = torch_runner(self.model)
        if not isinstance(manifest.driver, Buckets):
            return runner
        lengths = [manifest.graph(name).length for name in manifest.driver.graphs]
        return lambda inputs: answer_in_buckets(dict.fromkeys(lengths, runner), inputs)

    def fix_lengths(self, *lengths: int) -> None:
        """Give the artifact one graph for each length, and make it answer the goldens with them."""
        graph = self.manifest.graphs[0].model_dump(mode="json")
        graphs = [graph | {"name": f"length_{length}", "length": length} for length in lengths]
        self.edit_manifest(graphs=graphs, driver={"kind": "buckets", "graphs": [g["name"] for g in graphs]})
        runner = self._open(self.manifest)

        def again(row: dict[str, Any]) -> dict[str, Any]:
            encoding = Encoding(tuple(row["input_ids"]), tuple(row["token_type_ids"]))
            outputs = predict(runner, [encoding], batch_size=1)
            return row | {"artifact": {name: np.ravel(values[0]).tolist() for name, values in outputs.items()}}

        self.edit_lines("golden.jsonl", again)

    def findings(self, *settings: str, with_student: bool = True) -> set[str]:
        """Names of every fault found."""
        return {
            fault.name for rung in self.rungs(*settings, with_student=with_student).values() for fault in rung.findings
        }

    def edit_manifest(self, **changes: Any) -> None:
        """Change the manifest's fields."""
        values = self.manifest.model_dump(mode="json") | changes
        (self.folder / artifacts.MANIFEST).write_text(json.dumps(values), encoding="utf-8")

    def refresh_hashes(self) -> None:
        """Make the manifest fit the files again, as someone who hides a fault would."""
        entries = [artifacts.file_entry(self.folder, self.folder / e.path, e.role) for e in self.manifest.files]
        tokenizer = self.manifest.tokenizer.model_dump(mode="json")
        tokenizer["sha256"] = next(e.sha256 for e in entries if e.path == "tokenizer.json")
        self.edit_manifest(files=[entry.model_dump(mode="json") for entry in entries], tokenizer=tokenizer)

    def edit_lines(self, name: str, change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
        """Change every line of a .jsonl file (None drops it) and hide that in the manifest."""
        path = self.folder / name
        rows = [change(json.loads(line)) for line in path.read_text(encoding="utf-8").split("\n") if line]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows if row is not None), encoding="utf-8")
        self.refresh_hashes()


def plant(
    folder: Path,
    *,
    family: str = "bert",
    seed: int | None = None,
    rows: int = 320,
    scheme: str = "fp32",
    teacher: bool = True,
    student: Any = None,
    kind: str = "single",
) -> Planted:
    """Write a good artifact of a tiny student; labels and teacher mostly agree with it, so it knows its task."""
    labels = _labels_of(kind)
    student = student or tiny_student(family, kind, seed)
    student_folder = save_checkpoint(folder / "student", student)
    artifact = folder / "artifact"
    artifact.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (artifact / name).write_bytes((student_folder / name).read_bytes())
    (artifact / "model.pretended").write_bytes((student_folder / "model.safetensors").read_bytes())
    (artifact / artifacts.LABELS).write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")
    planted = Planted(artifact, student_folder, student, student)
    _write_goldens(planted, kind)
    names = {"model.pretended": "model", "tokenizer.json": "tokenizer", "tokenizer_config.json": "tokenizer",
             artifacts.LABELS: "labels", artifacts.GOLDENS: "golden"}  # fmt: skip
    if rows:
        _write_reference(planted, rows, teacher, kind)
        names[artifacts.REFERENCE] = "reference"
    _write_manifest(
        planted, names, scheme, family, kind if rows or kind == "embedding" else "single", labels, bool(rows)
    )
    return planted


def tiny_student(family: str = "bert", kind: str = "single", seed: int | None = None) -> Any:
    """A model with random weights whose answers differ between texts."""
    head = {"span": "span", "tokens": "tokens", "embedding": "bare"}.get(kind, "sequence")
    labels = _labels_of(kind) or ("score",)
    model = tiny_model(family, head, labels=labels, layers=LAYERS, seed=SEEDS[family] if seed is None else seed)
    if family == "mobilebert":  # without real norms its scores would grow beyond any mask's bias
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if weight.ndim == 2 and "embeddings" not in name and "classifier" not in name:
                    weight.mul_(0.5)
    return model


def _labels_of(kind: str) -> tuple[str, ...]:
    return LABELS if kind in ("single", "pair", "tokens") else ()


def _write_goldens(planted: Planted, kind: str) -> None:
    tokenizer = load_tokenizer(planted.student_folder)
    plain = [*PLAIN[:10], *[text for text, _ in sentences(12, seed=9)]]
    texts = [clean(text) for text in (*plain, *list(ADVERSARIAL.values())[::3])]
    pairs = [PLAIN[0] if kind in ("pair", "span") else None for _ in texts]
    encodings = encode(tokenizer, texts, pairs, MAX_LENGTH)
    outputs = predict(torch_runner(planted.student), encodings, batch_size=1)
    goldens = []
    for n, (text, e) in enumerate(zip(texts, encodings, strict=True)):
        stored = {name: np.ravel(rows[n]).tolist() for name, rows in outputs.items()}
        goldens.append(
            Golden(
                text=text, text_pair=pairs[n], input_ids=e.input_ids, token_type_ids=e.token_type_ids,
                student=stored, artifact=stored, tolerance=dict.fromkeys(stored, 1e-3),
            )
        )  # fmt: skip
    _write_lines(planted.folder / artifacts.GOLDENS, goldens)


def _write_reference(planted: Planted, rows: int, has_teacher: bool, kind: str) -> None:
    random = np.random.default_rng(0)
    tokenizer = load_tokenizer(planted.student_folder)
    texts = [text for text, _ in sentences(rows, seed=5)]
    pairs = [f"{text} and the story" if kind in ("pair", "span") else None for text in reversed(texts)]
    encodings = encode(tokenizer, texts, pairs, MAX_LENGTH)
    outputs = predict(torch_runner(planted.student), encodings)
    flat = [np.concatenate([np.ravel(value) for value in values]) for values in zip(*outputs.values(), strict=True)]
    labels = _labels(kind, flat, lambda: answer_texts(tokenizer, texts, pairs, flat, MAX_LENGTH), random)
    lines = [
        ReferenceRow(
            row_id=str(n), text=texts[n], text_pair=pairs[n], label=labels[n], student=flat[n].tolist(),
            teacher=_teacher(flat[n], kind, random) if has_teacher else None,
        )
        for n in range(rows)
    ]  # fmt: skip
    _write_lines(planted.folder / artifacts.REFERENCE, lines)


def _labels(kind: str, flat: list[Any], texts: Callable[[], list[str]], random: Any) -> list[Any]:
    """Labels that the student mostly gets right."""
    if kind == "regression":
        return [float(row[0] + random.normal(scale=0.1)) for row in flat]
    if kind == "span":
        return [[text, "another answer"] for text in texts()]
    if kind == "tokens":
        return [[-100, *row.reshape(-1, 2).argmax(1)[1:-1].tolist(), -100] for row in flat]
    return [int(row.argmax() if random.random() < 0.9 else row.argmin()) for row in flat]


def _teacher(row: Any, kind: str, random: Any) -> list[float]:
    """Nearly the student's answer; now and then another one."""
    return (row[::-1] if kind in ("single", "pair") and random.random() < 0.02 else row + 0.01).tolist()


def _write_lines(path: Path, rows: Sequence[Any]) -> None:
    path.write_text("".join(row.model_dump_json() + "\n" for row in rows), encoding="utf-8")


def _write_manifest(
    planted: Planted,
    names: dict[str, str],
    scheme: str,
    family: str,
    kind: str,
    labels: tuple[str, ...],
    has_task: bool,
) -> None:
    folder = planted.folder
    entries = [artifacts.file_entry(folder, folder / name, role) for name, role in names.items()]
    inputs = [{"name": n, "dtype": "int64", "shape": ["B", "S"]} for n in ("input_ids", "attention_mask")]
    values = {
        "created": artifacts.now(),
        "command": "planted",
        "environment": artifacts.environment().model_dump(),
        "source": {
            "path": str(planted.student_folder), "family": family,
            "sha256": next(e.sha256 for e in entries if e.path == "model.pretended"),
            "parameters": sum(p.numel() for p in planted.student.parameters()),
        },
        "task": {"name": "tiny" if has_task else None, "kind": kind,
                 "metric": METRICS.get(kind, "accuracy") if has_task else None, "max_length": MAX_LENGTH},
        "labels": labels,
        "target": "pretended",
        "scheme": scheme,
        "graphs": [{"name": "main", "file": "model.pretended", "inputs": inputs,
                    "outputs": [{"name": "logits", "dtype": "float32", "shape": ["B", 2]}]}],
        "driver": {"kind": "single", "graph": "main"},
        "tokenizer": {
            "kind": "wordpiece", "file": "tokenizer.json", "vocab_size": planted.student.config.vocab_size,
            "sha256": next(e.sha256 for e in entries if e.path == "tokenizer.json"),
            "lowercase": True, "strip_accents": None,
            "special_ids": {"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4}, "max_length": MAX_LENGTH,
        },
        "files": [entry.model_dump() for entry in entries],
    }  # fmt: skip
    manifest = build(Manifest, values, "planted")
    (folder / artifacts.MANIFEST).write_text(manifest.model_dump_json(indent=2), encoding="utf-8")


def noisy(scale: float, seed: int = 0) -> Callable[[Any], Any]:
    """A runner's answers with the noise of coarse numbers; the same input always gets the same noise."""

    def wrap(runner: Any) -> Any:
        def run(inputs: Any) -> dict[str, Any]:
            outputs = runner(inputs)
            noise = []
            for ids, mask in zip(inputs["input_ids"], inputs["attention_mask"], strict=True):
                random = np.random.default_rng([seed, *ids[mask == 1].tolist()])
                noise.append(random.normal(scale=scale, size=outputs["logits"].shape[1:]))
            return {"logits": (outputs["logits"] + np.stack(noise)).astype(np.float32)}

        return run

    return wrap
