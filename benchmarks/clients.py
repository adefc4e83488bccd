"""Other people's loaders on our folders, unmodified: which client answers as PyTorch does, in which scheme.

    python benchmarks/clients.py ARTIFACT [ARTIFACT ...] [--client NAME ...] [--add]

Each client runs in an environment of its own, made at the first run under the user's cache. Texts are the artifact's
goldens; answers are compared with PyTorch's where a client's ids are ours. A client that shows no ids is compared on
plain text. Accented, CJK and emoji texts are counted apart. Writes docs/results/clients.md and clients.json.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from compare import RESULTS, about

from edgedistill import files
from edgedistill.artifacts import LABELS, Golden, Manifest, now, read_manifest
from edgedistill.clients import CLIENTS
from edgedistill.data.encoding import clean
from edgedistill.data.probes import ADVERSARIAL
from edgedistill.gate.case import read_goldens
from edgedistill.gate.tolerances import Tolerances
from edgedistill.quant.schemes import SCHEMES

HERE = Path(__file__).parent / "clients"
PACKAGES = {
    "optimum": ("optimum-onnx==0.1.0", "onnxruntime", "transformers<4.58"),
    "tflite-runtime": ("tflite-runtime==2.14.0", "numpy<2", "tokenizers"),
    "task-library": ("tflite-support==0.4.4", "numpy<2"),
    "mediapipe": ("mediapipe==1.2.2",),
    "executorch": ("executorch>=1.5,<1.6", "torch==2.13.0", "tokenizers"),
}
"""What is installed for a client; the others are what edgedistill itself runs on."""
NODE_PACKAGE = "@huggingface/transformers@4.3.1"
SCRIPTS = {
    "transformers": "by_auto_classes.py", "onnxruntime": "by_session.py", "optimum": "by_optimum.py",
    "transformers.js": "by_transformers.mjs", "ai-edge-litert": "by_signature.py",
    "tflite-runtime": "by_signature.py", "task-library": "by_text.py", "mediapipe": "by_text.py",
    "executorch": "by_program.py",
}  # fmt: skip
GROUPS = {
    "accents": ("accents", "accents_decomposed", "german_and_turkish"),
    "cjk": ("cjk", "cjk_beside_latin"),
    "emoji": ("emoji", "emoji_joined"),
}


def main() -> None:
    """Try every client on every artifact it reads and write the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("artifacts", nargs="+", type=Path)
    options.add_argument("--client", action="append", choices=sorted(CLIENTS))
    options.add_argument("--add", action="store_true", help="keep the rows of pairs that are not tried again")
    given = options.parse_args()
    rows = [
        tried(name, folder)
        for folder in given.artifacts
        for name in given.client or CLIENTS
        if read_manifest(folder).target in CLIENTS[name].targets
    ]
    tried_now = {(row["client"], row["target"], row["scheme"]) for row in rows}
    if given.add and (RESULTS / "clients.json").is_file():
        before = json.loads((RESULTS / "clients.json").read_text(encoding="utf-8"))["rows"]
        rows = [row for row in before if (row["client"], row["target"], row["scheme"]) not in tried_now] + rows
    found = {
        **about(),
        "tolerances": {"fp32_relative": Tolerances().fp32_relative, "fp16_relative": Tolerances().fp16_relative,
                       "int8_relative": Tolerances().int8_relative, "int8_agreement": Tolerances().int8_agreement},
        "rows": rows,
    }  # fmt: skip
    files.write_json(RESULTS / "clients.json", found)
    files.write_text(RESULTS / "clients.md", markdown(found))


def tried(name: str, folder: Path) -> dict[str, Any]:
    """One client on one artifact: what it answered beside what PyTorch did."""
    manifest, goldens = read_manifest(folder), read_goldens(folder)
    row: dict[str, Any] = {"client": name, "target": manifest.target, "scheme": manifest.scheme, "measured": now()}
    try:
        answers = answered(name, folder)
    except subprocess.CalledProcessError as error:
        lines = [line for line in error.stderr.splitlines() if line.strip()]
        said = lines[-1][:200] if lines else f"ended by signal {-error.returncode}"
        return {**row, "works": False, "reason": said}
    if len(answers) != len(goldens):
        return {**row, "works": False, "reason": f"{len(answers)} answers for {len(goldens)} texts"}
    return {**row, **judged(manifest, goldens, answers, folder)}


def answered(name: str, folder: Path) -> list[dict[str, Any]]:
    """What a client says of each golden, in its own process.

    Raises:
        subprocess.CalledProcessError: it could not be installed, or it refused the artifact.
    """
    home = client_home(name)
    interpreter = "node" if SCRIPTS[name].endswith(".mjs") else str(python_of(home) if home else sys.executable)
    ran = subprocess.run(
        [interpreter, str(HERE / SCRIPTS[name]), str(folder.resolve())], check=True, capture_output=True, text=True,
        env={**os.environ, "CLIENT_HOME": str(home or ""), "PYTHONPATH": "", "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    return [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]


def client_home(name: str) -> Path | None:
    """The client's own environment, made where it is not there; None for what edgedistill itself runs on."""
    if name not in PACKAGES and name != "transformers.js":
        return None
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgedistill" / "clients" / name
    if not (home / "ready").is_file():
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        for words in installs(name, home):
            subprocess.run(words, check=True, capture_output=True, text=True, cwd=home)
        (home / "ready").touch()
    return home


def installs(name: str, home: Path) -> list[list[str]]:
    """The commands that make a client's environment."""
    if name == "transformers.js":
        return [["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", ".", NODE_PACKAGE]]
    pip = [str(python_of(home)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    return [[sys.executable, "-m", "venv", str(home)], [*pip, *PACKAGES[name]]]


def python_of(home: Path) -> Path:
    """Its interpreter."""
    return home / "bin" / "python"


def judged(manifest: Manifest, goldens: tuple[Golden, ...], answers: list[Any], folder: Path) -> dict[str, Any]:
    """How far a client's answers are from PyTorch's where its ids are ours, and each group of texts apart."""
    texts = {clean(text): kind for kind, names in GROUPS.items() for text in (ADVERSARIAL[name] for name in names)}
    odd = {clean(text) for text in ADVERSARIAL.values()}
    compared, groups = [], {kind: [0, 0, 0.0] for kind in GROUPS}
    for golden, answer in zip(goldens, answers, strict=True):
        wanted, got = np.array(golden.student["logits"]), np.array(answer.get("logits", golden.student["logits"]))
        ids = answer.get("ids")
        is_same = golden.text not in odd and golden.text.isascii() if ids is None else ids == list(golden.input_ids)
        if is_same:
            compared.append((wanted, got))
        if kind := texts.get(golden.text):
            groups[kind][0] += 1
            groups[kind][1] += is_same if ids is not None else int(np.argmax(wanted) == np.argmax(got))
            groups[kind][2] = max(groups[kind][2], float(np.abs(wanted - got).max()))
    labels = next((answer["labels"] for answer in answers if "labels" in answer), None)
    told = (folder / LABELS).read_text(encoding="utf-8").split("\n")[:-1]
    relative, agreement = _distance(compared)
    works = _is_within(manifest.scheme, relative, agreement) and labels in (None, told) and len(compared) >= 50
    return {
        "works": works, "reason": "" if works else "answers otherwise than PyTorch", "texts": len(compared),
        "of": len(goldens), "shows_ids": "ids" in answers[0], "answers": "logits" in answers[0],
        "relative": relative, "agreement": agreement,
        "groups": {kind: {"texts": n, "same": same, "worst": worst} for kind, (n, same, worst) in groups.items()},
    }  # fmt: skip


def _distance(compared: list[tuple[Any, Any]]) -> tuple[float, float]:
    """Relative difference over all texts, and the share of equal classes."""
    if not compared:
        return float("inf"), 0.0
    wanted, got = (np.stack(side) for side in zip(*compared, strict=True))
    same = float(np.mean(wanted.argmax(axis=1) == got.argmax(axis=1)))
    return float(np.linalg.norm(wanted - got) / np.linalg.norm(wanted)), same


def _is_within(scheme: str, relative: float, agreement: float) -> bool:
    limits = Tolerances()
    if SCHEMES[scheme].is_integer:
        return relative <= limits.int8_relative and agreement >= limits.int8_agreement
    return relative <= (limits.fp32_relative if scheme == "fp32" else limits.fp16_relative)


def markdown(found: dict[str, Any]) -> str:
    """The table for people."""
    lines = [
        "# Our folders in other people's clients", "",
        f"Last measured {found['created']} by `{found['command']}`; clients.json says when each row was. Each client "
        "loads the artifact folder unmodified, in an environment of its own. Difference: relative, over the logits of "
        "the texts whose ids equal ours, against PyTorch; a client that shows no ids is compared on plain ASCII text. "
        "Accents, CJK, emoji: texts with our ids (for a client that shows none, texts with our class), and the largest "
        "difference of a logit.", "",
        "| client | target | scheme | works | texts | difference | agreement | accents | CJK | emoji |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for row in found["rows"]:
        name = f"| {CLIENTS[row['client']].name} | {row['target']} | {row['scheme']} |"
        if "texts" not in row:
            lines.append(f"{name} **no**: {row['reason'].replace('|', ' ')} | | | | | | |")
            continue
        numbers = f"{row['relative']:.2g} | {row['agreement']:.3f}" if row["answers"] else "ids and labels only | "
        apart = " | ".join(f"{one['same']}/{one['texts']}, {one['worst']:.2g}" for one in row["groups"].values())
        lines.append(
            f"{name} {'yes' if row['works'] else '**no**'} | {row['texts']} of {row['of']} | {numbers} | {apart} |"
        )
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
