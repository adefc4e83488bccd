"""Run folders as the verbs leave them, made in milliseconds: what the page is tried on.

Every number in them is invented; nothing here may be quoted.
"""

from __future__ import annotations

import json
import math
import random
from functools import cache
from pathlib import Path
from typing import Any

from edgedistill import files, reports
from edgedistill.artifacts import (
    GOLDENS,
    LABELS,
    MANIFEST,
    REFERENCE,
    Buckets,
    Environment,
    Graph,
    Manifest,
    Quantization,
    Single,
    Source,
    TaskCard,
    Tensor,
    TokenizerSpec,
    file_entry,
)
from edgedistill.reports import (
    BENCH,
    STUDENT_CARD,
    VERDICT,
    BenchReport,
    BenchRow,
    Finding,
    Latency,
    Measure,
    Rung,
    StudentCard,
    Verdict,
)
from edgedistill.words import EmbeddingReport, Reading, VocabularyReport

TEXTS = ("a warm and funny film", "the plot is a mess", "superb cast , dull script", "this was very moving")
ENVIRONMENT = Environment(
    python="3.11.9",
    system="Linux x86_64",
    cpu="Example Processor 1.0 GHz",
    packages={"edgedistill": "0.1.0", "torch": "2.13.0", "onnxruntime": "1.31.1"},
)
CREATED = "2026-01-02T03:04:05+00:00"
TEACHER = Source(path="models/minilm-l6-sst2", sha256="7e" * 32, family="bert", parameters=22_713_602)
STUDENT = Source(path="runs/sst2/student", sha256="5d" * 32, family="mobilebert", parameters=5_842_178)
TASK = TaskCard(name="sst2", kind="single", metric="accuracy", max_length=128)
SCORES = {"onnx-fp32": 0.8853, "onnx-int8_dynamic": 0.8842, "tflite-int8_dynamic": 0.8406}
SIZES = {"onnx-fp32": 234, "onnx-int8_dynamic": 63, "tflite-int8_dynamic": 66}


@cache
def _tokenizer_json() -> str:
    from tests.support import tiny_tokenizer

    return str(tiny_tokenizer().backend_tokenizer.to_str())


def write_artifact(
    folder: Path,
    target: str = "onnx",
    scheme: str = "fp32",
    *,
    lengths: tuple[int, ...] = (),
    labels: tuple[str, ...] = ("negative", "positive"),
    source: Source = STUDENT,
    size_bytes: int = 2340,
    max_length: int = 128,
) -> Manifest:
    """An artifact folder whose files match its manifest; the model file is just bytes."""
    folder.mkdir(parents=True)
    (folder / "tokenizer.json").write_text(_tokenizer_json(), encoding="utf-8")
    (folder / "model.bin").write_bytes(b"m" * size_bytes)
    (folder / LABELS).write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")
    rows: list[dict[str, Any]] = [
        {"row_id": str(n), "text": text, "label": n % 2, "student": [0.0, 1.0]} for n, text in enumerate(TEXTS)
    ]
    for name in (REFERENCE, GOLDENS):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    roles = {"model.bin": "model", "tokenizer.json": "tokenizer", LABELS: "labels", GOLDENS: "golden"}
    roles[REFERENCE] = "reference"
    inputs = (Tensor(name="input_ids", dtype="int64", shape=("batch", "sequence")),)
    outputs = (Tensor(name="logits", dtype="float32", shape=("batch", len(labels))),)
    graphs = tuple(
        Graph(name=f"graph{length or ''}", file="model.bin", length=length, inputs=inputs, outputs=outputs)
        for length in (lengths or (None,))
    )
    manifest = Manifest(
        created=CREATED,
        command=f"edgedistill export runs/sst2/student --target {target} --scheme {scheme}",
        environment=ENVIRONMENT,
        source=source,
        parents=(TEACHER,),
        recipe="mobilebert",
        task=TASK,
        labels=labels,
        target=target,
        scheme=scheme,
        graphs=graphs,
        driver=Buckets(graphs=tuple(g.name for g in graphs)) if lengths else Single(graph="graph"),
        tokenizer=TokenizerSpec(
            kind="wordpiece",
            file="tokenizer.json",
            sha256=files.sha256_of(folder / "tokenizer.json"),
            vocab_size=100,
            lowercase=True,
            strip_accents=None,
            special_ids={"pad": 0},
            max_length=max_length,
        ),
        quantization=None
        if scheme == "fp32"
        else Quantization(scheme=scheme, tool="example 1.0", kept_float={"classifier": "half of the error for 1 kB"}),
        files=tuple(file_entry(folder, folder / path, role) for path, role in roles.items()),
        licence="apache-2.0",
    )
    reports.save(manifest, folder / MANIFEST)
    return manifest


def rungs(is_failed: bool = False, score: float = 0.8842) -> tuple[Rung, ...]:
    """A ladder with every status."""
    bad = "failed" if is_failed else "passed"
    agreement, drop, ratio = (0.931, 4.47, 0.943) if is_failed else (0.9923, 0.11, 0.9923)
    fault = Finding(
        name="layer_dropped",
        message="answers are those of the student without layer 3. Export again and compare the operator counts.",
    )
    compared = Rung(
        name="student_to_artifact",
        title="The artifact gives the student's outputs",
        status=bad,
        reason=f"{fault.message}; agreement is {agreement:.3f}, at least 0.98 is allowed" if is_failed else "",
        rows=915,
        measures=(
            Measure(name="max_abs", value=0.4821),
            Measure(name="relative", value=0.0381),
            Measure(name="cosine", value=0.99931),
            Measure(name="sqnr_db", value=28.4),
            Measure(name="agreement", value=agreement, limit=0.98, relation=">="),
            Measure(name="adversarial_agreement", value=0.93, limit=0.85, relation=">="),
            Measure(name="student_spread", value=1.73, limit=0.01, relation=">="),
            Measure(name="reproduces_goldens", value=1.0, limit=1.0, relation=">="),
        ),
        findings=(fault,) if is_failed else (),
    )
    dropped = Rung(
        name="student_to_artifact_metric",
        title="The task metric survives export and quantization",
        status=bad,
        reason=f"{drop} (95 % interval 4.17 to 4.87), at most 1 is allowed." if is_failed else "",
        rows=872,
        measures=(
            Measure(name="student_accuracy", value=0.8853),
            Measure(name="artifact_accuracy", value=score),
            Measure(name="drop_points", value=drop, limit=1.0, relation="<=", low=drop - 0.3, high=drop + 0.4),
            Measure(name="agreement", value=agreement),
            Measure(name="recall_change_points/negative", value=-drop),
            Measure(name="recall_change_points/positive", value=0.22),
        ),
    )
    distilled = Rung(
        name="teacher_to_student",
        title="The student keeps the teacher's accuracy",
        status="inconclusive",
        reason="0.993 (95 % interval 0.961 to 1.01) on 872 rows is too uncertain for 0.97; about 2,100 rows would do.",
        rows=872,
        measures=(
            Measure(name="teacher_accuracy", value=0.8911),
            Measure(name="student_accuracy", value=0.8853),
            Measure(name="ratio", value=0.9935, limit=0.97, relation=">=", low=0.961, high=1.01),
        ),
    )
    kept = Rung(
        name="teacher_to_artifact",
        title="End to end: the artifact keeps the teacher's accuracy",
        status=bad,
        reason=f"{ratio} (95 % interval 0.92 to 0.96), at least 0.97 is allowed." if is_failed else "",
        rows=872,
        measures=(
            Measure(name="teacher_accuracy", value=0.8911),
            Measure(name="artifact_accuracy", value=score),
            Measure(name="ratio", value=ratio, limit=0.97, relation=">=", low=ratio - 0.02, high=ratio + 0.02),
        ),
    )
    return (
        Rung(name="files", title="Every file is the one the manifest names", status="passed", rows=7),
        compared,
        dropped,
        distilled,
        kept,
        Rung(
            name="other_architecture",
            title="The same file on another processor architecture",
            status="not_run",
            reason="this check ran on one processor only",
        ),
        Rung(name="phone", title="The same file on a phone", status="not_run", reason="no phone was asked"),
    )


def write_verdict(folder: Path, status: str = "passed", score: float = 0.8842) -> Verdict:
    """A verdict on the artifact as it is now."""
    verdict = Verdict.model_validate(
        {
            "created": CREATED,
            "command": f"edgedistill check runs/sst2/artifacts/{folder.name}",
            "environment": ENVIRONMENT,
            "artifact": folder.name,
            "manifest_sha256": files.sha256_of(folder / MANIFEST),
            "status": status,
            "rungs": rungs(status == "failed", score),
            "overrides": {"int8_agreement": 0.95} if status == "failed" else {},
        }
    )
    reports.save(verdict, folder / VERDICT)
    return verdict


def bench_row(artifact: str, p50_ms: float, **values: Any) -> BenchRow:
    """A row with plausible times around `p50_ms`."""
    samples = tuple(round(p50_ms * (1 + 0.02 * math.sin(n)), 4) for n in range(64))
    times = {
        "p50_ms": p50_ms,
        "p90_ms": p50_ms * 1.03,
        "p95_ms": p50_ms * 1.05,
        "p99_ms": p50_ms * 1.12,
        "min_ms": p50_ms * 0.97,
        "max_ms": p50_ms * 1.3,
        "mean_ms": p50_ms * 1.01,
        "std_ms": p50_ms * 0.02,
        "first_ms": p50_ms * 1.9,
        "load_ms": p50_ms * 11,
    }
    return BenchRow.model_validate(
        {
            "artifact": artifact,
            "manifest_sha256": None,
            "target": "onnx",
            "scheme": "fp32",
            "source": "host",
            "device": ENVIRONMENT.cpu,
            "threads": 1,
            "affinity": "0-1",
            "length": 128,
            "latency": Latency(runs=len(samples), **times),
            "peak_rss_bytes": 181_400_000,
            "size_bytes": 23_400_000,
            "validity": "valid",
            "is_throttled": False,
            "samples_ms": samples,
            **values,
        }
    )


def write_bench(folders: list[Path], created: str = CREATED) -> BenchReport:
    """One bench over artifacts and PyTorch, as `bench` leaves it in each of them."""
    rows = []
    for threads in (1, 2):
        for place, folder in enumerate(folders):
            manifest = Manifest.model_validate_json((folder / MANIFEST).read_text())
            values = {
                "manifest_sha256": files.sha256_of(folder / MANIFEST),
                "target": manifest.target,
                "scheme": manifest.scheme,
                "threads": threads,
                "size_bytes": manifest.model_size_bytes,
                "is_throttled": place == 2 and threads == 2,
                "validity": "semi" if place == 2 else "valid",
            }
            rows.append(bench_row(folder.name, (8.31, 5.02, 4.6)[place % 3] / (1 + 0.6 * (threads - 1)), **values))
        torch = {"target": "pytorch", "threads": threads, "size_bytes": 23_400_000, "peak_rss_bytes": 612_000_000}
        rows.append(bench_row("pytorch", 27.4 / threads, **torch))
    report = BenchReport(
        created=created,
        command="edgedistill bench runs/sst2/artifacts/* --mode quick --threads 1,2 --seed 0",
        environment=ENVIRONMENT,
        mode="quick",
        seed=0,
        rows=tuple(rows),
        notes=("Inputs are real text: rows of reference.jsonl, cut to exactly the stated length, no padding.",),
    )
    for folder in folders:
        reports.save(report, folder / BENCH)
    return report


def write_training(run: Path) -> StudentCard:
    """Two stages with their logs, and the student's card."""
    noise = random.Random(0)
    for stage, terms, steps in (
        ("01-transfer", {"feature_map": 0.9, "attention": 0.21, "mean_variance": 0.04}, 1875),
        ("02-distill", {"logits": 1.4, "feature_map": 0.11, "labels": 0.0}, 2104),
    ):
        lines = []
        for step in range(5, steps + 1, 5):
            values = {
                name: scale * (0.12 + math.exp(-step / 400)) * (1 + 0.15 * noise.random())
                for name, scale in terms.items()
            }
            lines.append(
                {
                    "stage": stage,
                    "step": step,
                    "epoch": step / steps,
                    "seconds": step * 0.31,
                    "lr": 1e-3,
                    "loss": sum(values.values()),
                    "terms": values,
                    "grad_norm": 1.0,
                    "rows": 160,
                    "tokens": 4000,
                    "places": 4200,
                    "phases": {"data": 0.05, "losses": 0.8, "gradients": 0.55, "update": 0.1},
                    "memory_bytes": 2_000_000_000 + step,
                }
            )
        folder = run / "stages" / stage
        folder.mkdir(parents=True)
        (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    card = StudentCard(
        created=CREATED,
        command="edgedistill distill mobilebert --teacher models/minilm-l6-sst2 --task sst2 --out runs/sst2",
        environment=ENVIRONMENT,
        recipe="mobilebert",
        task=TASK,
        labels=("negative", "positive"),
        student=STUDENT,
        teacher=TEACHER,
        data_sha256="da" * 32,
        scores={"student": 0.8853, "teacher": 0.8911, "agreement": 0.919, "rows": 872},
        layer_errors={
            "feature_map_mse": [0.013, 0.041, 0.072, 0.088, 0.121, 0.167, 0.094],
            "attention_kl": [0.08, 0.11, 0.17, 0.16, 0.21, 0.29],
        },
        vocabulary=VocabularyReport(
            entries=13_483,
            teacher_entries=30_522,
            train=Reading(rows=66_349, coverage=1, unknown=0, teacher_unknown=0, growth=1, changed=0),
            judged=Reading(rows=872, coverage=0.9771, unknown=0, teacher_unknown=0, growth=1.027, changed=0.3),
        ),
        embedding=EmbeddingReport(size=128, teacher_size=384, error_tokens=0.452, error_entries=0.617),
        seconds={"transfer": 581.0, "distill": 652.0},
        licence="apache-2.0",
    )
    (run / "student").mkdir(parents=True)
    reports.save(card, run / "student" / STUDENT_CARD)
    return card


def write_run(run: Path, scale: int = 100) -> Path:
    """A whole run: trained, three artifacts (passed, passed, failed), one bench.

    Args:
        run: folder to make.
        scale: of the model files' sizes; 100,000 makes them as large as real ones.
    """
    write_training(run)
    folders = []
    for name, score in SCORES.items():
        target, _, scheme = name.partition("-")
        folder = run / "artifacts" / f"mobilebert-sst2-{name}"
        lengths = (32, 64, 128) if target == "tflite" else ()
        write_artifact(folder, target, scheme, lengths=lengths, size_bytes=SIZES[name] * scale)
        write_verdict(folder, "failed" if target == "tflite" else "passed", score)
        folders.append(folder)
    write_bench(folders)
    return run
