"""Other people's loaders read our folders as they are: same ids, same answers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgedistill import export

pytestmark = pytest.mark.long

OPTIMUM = ["optimum-onnx==0.1.0", "onnxruntime", "transformers<4.58"]
READ_BY_OPTIMUM = """
import json, sys
import numpy as np
from optimum.onnxruntime import ORTModelForSequenceClassification
from transformers import AutoTokenizer
folder = sys.argv[1]
model = ORTModelForSequenceClassification.from_pretrained(folder)
tokenizer = AutoTokenizer.from_pretrained(folder)
same, worst = 0, 0.0
for line in open(folder + "/golden.jsonl", encoding="utf-8"):
    golden = json.loads(line)
    tokens = tokenizer(golden["text"], return_tensors="pt", truncation=True)
    if tokens["input_ids"][0].tolist() == list(golden["input_ids"]):
        same += 1
        logits = model(**tokens).logits.detach().numpy().ravel()
        worst = max(worst, float(np.abs(logits - golden["artifact"]["logits"]).max()))
print(json.dumps({"same": same, "worst": worst, "labels": list(model.config.id2label.values())}))
"""


@pytest.fixture(scope="module")
def optimum(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has optimum-onnx, which wants an older transformers than ours."""
    home = tmp_path_factory.mktemp("optimum")
    subprocess.run([sys.executable, "-m", "venv", home], check=True)
    python = home / "bin" / "python"
    done = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", *OPTIMUM], check=False, capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"needs a package index: {done.stderr[-300:]}")
    return python


@pytest.mark.parametrize("scheme", ["fp32", "int8_dynamic"])
def test_optimum_reads_the_folder(optimum: Path, tiny_bert: Path, tmp_path: Path, scheme: str) -> None:
    artifact = export(tiny_bert, target="onnx", scheme=scheme, out=tmp_path / "artifact", settings=["max_length=32"])
    done = subprocess.run(
        [optimum, "-c", READ_BY_OPTIMUM, artifact], check=True, capture_output=True, text=True, cwd=tmp_path
    )
    found = json.loads(done.stdout.strip().splitlines()[-1])
    goldens = (artifact / "golden.jsonl").read_text(encoding="utf-8").strip().split("\n")
    assert found["same"] == len(goldens)
    assert found["worst"] < 1e-5
    assert found["labels"] == (artifact / "labels.txt").read_text(encoding="utf-8").split()
