"""Instructions of one inference on emulated arm64 processors, beside ONNX Runtime's own dynamic quantization.

    python benchmarks/instructions.py ARTIFACT... [--work DIR] [--out docs/results]

Takes artifacts of one student. The stock quantization is made here, by `quantize_dynamic` with its defaults, from the
first ONNX fp32 artifact among them. An emulated inference takes seconds and a load up to a minute: what is done stays
in --work, and the next run goes on from there. Writes qemu.md and qemu.json. No times: an emulator has none to give.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import numpy as np

from edgedistill import files, reports
from edgedistill.artifacts import GOLDENS, MANIFEST, file_entry, read_manifest
from edgedistill.phones import qemu
from edgedistill.phones.emulation import EMULATION, EmulationReport, EmulationRow
from edgedistill.pipeline.emulate import emulate
from edgedistill.pipeline.runners import open_runner

STOCK = "stock-onnx-int8_dynamic"


def stock(fp32: Path, folder: Path) -> Path:
    """An artifact like the fp32 one with ONNX Runtime's own int8 in it, and that model's answers as its goldens."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    shutil.copytree(fp32, folder, ignore=shutil.ignore_patterns("*.onnx", "qemu.json", "bench*.json"))
    manifest = read_manifest(fp32)
    (name,) = {graph.file for graph in manifest.graphs}
    quantize_dynamic(fp32 / name, folder / name, weight_type=QuantType.QInt8)
    run = open_runner(folder, manifest)
    lines = []
    for line in (fp32 / GOLDENS).read_text(encoding="utf-8").splitlines():
        golden = json.loads(line)
        ids, kinds = (np.asarray([golden[key]]) for key in ("input_ids", "token_type_ids"))
        found = run({"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": kinds})
        golden["artifact"] = {
            output: [float(value) for value in np.ravel(found[output])] for output in golden["artifact"]
        }
        lines.append(json.dumps(golden))
    (folder / GOLDENS).write_text("\n".join(lines) + "\n", encoding="utf-8")
    entries = tuple(file_entry(folder, folder / entry.path, entry.role) for entry in manifest.files)
    changed = manifest.model_copy(update={"scheme": "int8_dynamic", "files": entries})
    files.write_json(folder / MANIFEST, changed.model_dump(mode="json"))
    return folder


def page(report: EmulationReport) -> str:
    """The table."""
    profiles = list(dict.fromkeys(row.profile for row in report.rows))
    rows: dict[str, dict[str, EmulationRow]] = {}
    for row in report.rows:
        rows.setdefault(row.artifact, {})[row.profile] = row
    first = report.rows[0]
    runtimes = sorted({f"{row.target} {row.runtime_version}" for row in report.rows})
    cpus = {row.profile: row.cpu for row in report.rows}
    lines = [
        "# Instructions of one inference on emulated arm64",
        "",
        f"Made {report.created} by `{report.command}`: {first.length} real tokens, batch 1, one thread, median of "
        f"{len(first.counted)} inferences, qemu {report.emulator}; runtimes: {', '.join(runtimes)}. The stock row is "
        "ONNX Runtime's `quantize_dynamic` with its defaults (int8 weights) of the same fp32 ONNX model.",
        "",
        "These are no times: nothing here models caches, memory or clocks. They say which kernels a processor's "
        "abilities lead to, and a change of more than 1 % says that others are chosen.",
        "",
        "Millions of instructions; in brackets the multiply-accumulates among them by what they need. One `fmla` does "
        "up to 4 products, of `smlal` 8, of `dotprod` 16, of `i8mm` 32 (with 128-bit registers):",
        "",
        "| artifact | " + " | ".join(f"{name} (`{cpus[name]}`)" for name in profiles) + " | arm64 parity |",
        "|---|" + "---|" * (len(profiles) + 1),
    ]
    for artifact, found in rows.items():
        cells = " | ".join(_cell(found[name]) for name in profiles)
        worst = [rung for row in found.values() for rung in row.rungs[:1] if rung.status != "passed"]
        parity = (
            f"{worst[0].status}: {worst[0].reason}" if worst else f"passed on {found[profiles[0]].rungs[0].rows} texts"
        )
        lines.append(f"| {artifact} | {cells} | {parity} |")
    lines += ["", "Largest relative difference between the answers on arm64 and on this x86-64 host:", ""]
    lines += ["| artifact | " + " | ".join(profiles) + " |", "|---|" + "---|" * len(profiles)]
    for artifact, found in rows.items():
        away = (found[name].rungs[0].measures[0] for name in profiles)
        lines.append(f"| {artifact} | " + " | ".join(f"{one.value:.1e} (<= {one.limit:.1e})" for one in away) + " |")
    return "\n".join(lines) + "\n"


def _cell(row: EmulationRow) -> str:
    used = ", ".join(f"{name} {count / 1e6:.2f}" for name, count in row.kinds.items() if count)
    return f"{row.instructions / 1e6:.2f}" + (f" ({used})" if used else "")


def counted(folder: Path) -> EmulationReport:
    """The artifact's report on all processors; those that are in it already are not run again."""
    path = folder / EMULATION
    done = {row.profile for row in reports.read(EmulationReport, path).rows} if path.is_file() else set()
    for name in qemu.profiles():
        if name not in done:
            emulate([folder], [name])
    return reports.read(EmulationReport, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifacts", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("--work", type=Path, default=Path("runs/instructions"), help="what is done already stays here")
    given = parser.parse_args()
    of = {folder: read_manifest(folder) for folder in given.artifacts}
    fp32 = next(folder for folder, manifest in of.items() if (manifest.target, manifest.scheme) == ("onnx", "fp32"))
    if not (given.work / STOCK / MANIFEST).is_file():
        stock(fp32, given.work / STOCK)
    found = [counted(given.work / STOCK)]
    for folder in given.artifacts:
        # Copies: a benchmark leaves what it is given as it was.
        copy = given.work / folder.name
        if not copy.is_dir():
            shutil.copytree(folder, copy)
        found.append(counted(copy))
    report = found[0].model_copy(update={"rows": tuple(row for one in [*found[1:], found[0]] for row in one.rows)})
    words = " ".join(["python benchmarks/instructions.py", *(folder.name for folder in given.artifacts)])
    report = report.model_copy(update={"command": words})
    reports.save(report, given.out / "qemu.json")
    files.write_text(given.out / "qemu.md", page(report))
    print(page(report))


if __name__ == "__main__":
    main()
