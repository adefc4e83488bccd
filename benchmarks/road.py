"""SST-2 through every verb: what the student keeps, weighs and costs beside its teacher.

    python benchmarks/road.py --data DIR --teacher FOLDER --out runs/sst2

Distils a MobileBERT-style student from a fine-tuned teacher, exports both, judges every artifact, measures all of
them interleaved in one run, and writes `docs/results/road.md` and `road.json`. DIR holds train and validation files
of SST-2 with the columns `sentence` and `label`; FOLDER is any BERT fine-tuned on it. `--resume` goes on where a
stopped run was.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path

import edgedistill
from edgedistill import files
from edgedistill.artifacts import Manifest, environment, now, read_manifest
from edgedistill.reports import STUDENT_CARD, BenchReport, BenchRow, StudentCard, Verdict, read

RESULTS = Path(__file__).parent.parent / "docs" / "results"
VARIANTS = [
    (target, scheme) for target in ("onnx", "tflite") for scheme in ("fp32", "fp16", "int8_dynamic", "int8_weight")
]
LENGTH = 128


def main() -> None:
    """Run the road and write the results."""
    options = _options()
    student = options.out / "student"
    if not (student / STUDENT_CARD).is_file():
        student = edgedistill.distill(
            "mobilebert", task="sst2", data=options.data, teacher=options.teacher, corpus=options.corpus,
            config=options.config, settings=options.set, out=options.out, resume=options.resume,
        )  # fmt: skip
    teacher = _exported(options.teacher, options.out / "artifacts" / "teacher-onnx-fp32", "onnx", "fp32", options.data)
    artifacts = [_exported(student, options.out / "artifacts" / f"student-{t}-{s}", t, s, None) for t, s in VARIANTS]
    verdicts = {folder.name: edgedistill.check(folder) for folder in [teacher, *artifacts]}
    bench = edgedistill.bench(
        [teacher, *artifacts],
        mode=options.mode,
        threads=(1,),
        lengths=(LENGTH,),
        reference=False,
        out=options.out / "bench.json",
    )
    edgedistill.report(options.out)
    card = read(StudentCard, student / STUDENT_CARD)
    manifests = {folder.name: read_manifest(folder) for folder in [teacher, *artifacts]}
    _write(card, manifests, verdicts, bench, teacher.name)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--out", type=Path, default=Path("runs/sst2"))
    parser.add_argument("--mode", default="quick", choices=["submission", "quick", "rapid"])
    parser.add_argument("--resume", action="store_true")
    return parser.parse_args()


def _exported(source: str | Path, out: Path, target: str, scheme: str, data: Path | None) -> Path:
    if (out / "manifest.json").is_file():
        return out
    task = "sst2" if data else None
    return edgedistill.export(source, target=target, scheme=scheme, out=out, task=task, data=data)


def _write(
    card: StudentCard, manifests: dict[str, Manifest], verdicts: dict[str, Verdict], bench: BenchReport, teacher: str
) -> None:
    rows = {row.artifact: row for row in bench.rows if row.length == LENGTH and row.threads == 1}
    table = [
        _row(name, manifests[name], verdicts[name], rows[name], manifests[teacher], rows[teacher]) for name in manifests
    ]
    outside = ("/", "..")  # where data and weights lie on this machine says nothing to others
    command = "python " + shlex.join(Path(a).name if a.startswith(outside) else a for a in sys.argv)
    results = {
        "created": now(), "command": command, "environment": environment().model_dump(), "seed": card.seed,
        "mode": bench.mode, "length": LENGTH, "threads": 1, "scores": card.scores,
        "training_seconds": card.seconds, "parameters": {
            "teacher": manifests[teacher].source.parameters, "student": card.student.parameters
        }, "artifacts": table,
    }  # fmt: skip
    files.write_json(RESULTS / "road.json", results)
    files.write_text(RESULTS / "road.md", _markdown(results))


def _row(
    name: str, manifest: Manifest, verdict: Verdict, row: BenchRow, teacher: Manifest, teacher_row: BenchRow
) -> dict[str, object]:
    measures = {f"{rung.name}/{measure.name}": measure.value for rung in verdict.rungs for measure in rung.measures}
    return {
        "artifact": name,
        "target": manifest.target,
        "scheme": manifest.scheme,
        "bytes": manifest.model_size_bytes,
        "times_fewer_bytes": teacher.model_size_bytes / manifest.model_size_bytes,
        "p50_ms": row.latency.p50_ms,
        "p90_ms": row.latency.p90_ms,
        "times_faster": teacher_row.latency.p90_ms / row.latency.p90_ms,
        "peak_rss_bytes": row.peak_rss_bytes,
        "validity": row.validity,
        "verdict": verdict.status,
        "measures": measures,
    }


def _markdown(results: dict[str, object]) -> str:
    scores, parameters = dict(results["scores"]), dict(results["parameters"])  # type: ignore[call-overload]
    lines = [
        "# SST-2 through every verb",
        "",
        f"Measured {results['created']} by `{results['command']}`, seed {results['seed']}, mode `{results['mode']}`, "
        f"length {results['length']}, one thread, all rows interleaved in one run.",
        "",
        f"Teacher {scores.get('teacher', float('nan')):.4f}, student {scores.get('student', float('nan')):.4f} "
        f"({100 * scores['student'] / scores['teacher']:.2f} % of the teacher), "
        f"agreement {scores.get('agreement', float('nan')):.4f}; "
        f"{parameters['teacher']:,} and {parameters['student']:,} parameters.",
        "",
        "| artifact | accuracy | of the teacher | as the student | bytes | fewer | p90 ms | faster | verdict |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in results["artifacts"]:  # type: ignore[attr-defined]
        measures = row["measures"]
        shares = (measures.get("teacher_to_artifact/ratio"), measures.get("student_to_artifact_metric/agreement"))
        of_teacher, agrees = ("" if share is None else f"{100 * share:.2f} %" for share in shares)
        lines.append(
            f"| {row['artifact']} | {measures['student_to_artifact_metric/artifact_accuracy']:.4f} | {of_teacher} "
            f"| {agrees} | {row['bytes']:,} | {row['times_fewer_bytes']:.1f}x | {row['p90_ms']:.2f} "
            f"| {row['times_faster']:.1f}x | {row['verdict']} |"
        )
    lines += ["", "Peak memory and every other measure are in road.json beside this file."]
    lines += ["", f"Environment: `{json.dumps(results['environment'])}`", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
