"""The demo and the verbs, as a user sees them: what they print, how long they take.

    python benchmarks/demo.py

Runs the whole road of `make demo` anew, then each verb by hand on what it made; writes every command with its output
to `docs/results/demo.md` and, between its two marks, to the README.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from edgedistill import files
from edgedistill.artifacts import environment, now

HOME = Path(__file__).parent.parent
RESULTS = HOME / "docs" / "results" / "demo.md"
README = HOME / "README.md"
BEGIN, END = "<!-- made by benchmarks/demo.py: begin -->\n", "<!-- made by benchmarks/demo.py: end -->\n"


def main() -> None:
    """Run, and write what was printed."""
    road = "edgedistill run demo --out runs/demo"
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        printed = _run(road, Path(folder))
        minutes = (time.monotonic() - started) / 60
        student = "runs/demo/mobilebert/student"
        artifact = "runs/demo/mobilebert/artifacts/mobilebert-assistant-onnx-int8_weight"
        verbs = [
            "edgedistill distill mobilebert --teacher runs/demo/teacher/student --task assistant "
            "--config runs/demo/mobilebert/config.yaml --out runs/demo/mobilebert --resume",
            f"edgedistill export {student} --target onnx --scheme int8_weight",
            f"edgedistill check {artifact}",
            f"edgedistill bench {artifact} --mode rapid",
            "edgedistill report runs/demo/mobilebert",
        ]
        outputs = [(verb, _run(verb, Path(folder))) for verb in verbs]
    facts = environment()
    about = (
        f"Measured {now()[:10]} on {facts.cpu} ({os.cpu_count()} cores), seed 0, by `python benchmarks/demo.py`; the "
        f"road took {minutes:.1f} minutes."
    )
    shown = "\n".join([about, "", *(_block(command, text) for command, text in [(road, printed), *outputs])])
    files.write_text(RESULTS, f"# The demo and the verbs\n\n{shown}\nEnvironment: `{facts.model_dump_json()}`\n")
    before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    files.write_text(README, f"{before}{BEGIN}{shown}{END}{rest.partition(END)[2]}")


def _run(command: str, folder: Path) -> str:
    """Run it where no former result lies; what it printed on stdout."""
    print(f"$ {command}", file=sys.stderr)
    words = [sys.executable, "-m", *shlex.split(command)]
    done = subprocess.run(words, cwd=folder, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in (0, 1):
        sys.exit(f"'{command}' exited with {done.returncode}")
    return done.stdout.strip("\n").replace(f"{folder.resolve()}/", "")


def _block(command: str, printed: str) -> str:
    return f"```console\n$ {command}\n{printed}\n```\n"


if __name__ == "__main__":
    main()
