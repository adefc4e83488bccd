"""A BiLSTM that reads words of its own, not its teacher's pieces, on the whole road to an app."""

import json

import numpy as np
import pytest
from tokenizers import Tokenizer

from edgedistill import check, distill, export, package
from tests.support import sentences, write_task

CONFIG = {"max_length": 16, "copies": 0, "channels": "tuned", "lstm_size": 8, "fc_size": 8}


@pytest.fixture(scope="module")
def run(tiny_bert, tmp_path_factory):
    folder = tmp_path_factory.mktemp("own_words")
    words = sorted({word for text, _ in sentences(64) for word in text.split()})
    spread = np.random.default_rng(0).normal(size=(len(words), 6))
    lines = [f"{word} {' '.join(f'{x:.3f}' for x in row)}\n" for word, row in zip(words, spread, strict=True)]
    (folder / "vectors.txt").write_text("".join(lines), encoding="utf-8")
    task = {"task": "sst2", "data": write_task(folder / "data", train=256, judged=256)}
    learning = {"lr": 1e-2, "epochs": 12, "batch_size": 16}
    teacher = distill("finetune", student=tiny_bert, config={"optim": learning}, out=folder / "teacher", **task)
    config = {**CONFIG, "vectors": str(folder / "vectors.txt"), "optim": learning}
    distill("bilstm", teacher=teacher, config=config, out=folder / "run", **task)
    return folder


SMALL_TASK = ["teacher_ratio=0.9", "teacher_ratio_margin=0.1", "metric_drop_margin=5"]


@pytest.mark.parametrize("target", ["onnx", pytest.param("tflite", marks=pytest.mark.slow)])
def test_its_words_go_with_it_to_the_app(run, target):
    made = export(run / "run" / "student", target=target, scheme="fp32", out=run / target)
    assert check(made, settings=SMALL_TASK).status == "passed"
    bundle = package(made, out=run / f"{target}-bundle")
    tokenizer = Tokenizer.from_file(str(bundle / "tokenizer.json"))
    words = [line.split(" ")[0] for line in (run / "vectors.txt").read_text().splitlines()]
    assert json.loads(tokenizer.to_str())["model"]["type"] == "WordLevel"
    assert set(words) < set(tokenizer.get_vocab())
