"""ONNX Runtime alone on an artifact's own files: FOLDER -> JSON lines on stdout."""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

folder = Path(sys.argv[1])
manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
tokenizer.enable_truncation(manifest["tokenizer"]["max_length"])
session = onnxruntime.InferenceSession(folder / manifest["graphs"][0]["file"], providers=["CPUExecutionProvider"])
for line in (folder / "golden.jsonl").read_text(encoding="utf-8").split("\n")[:-1]:
    encoding = tokenizer.encode(json.loads(line)["text"])
    columns = {
        "input_ids": encoding.ids,
        "attention_mask": [1] * len(encoding.ids),
        "token_type_ids": encoding.type_ids,
    }
    feed = {one.name: np.array([columns[one.name]], np.int64) for one in session.get_inputs()}
    print(json.dumps({"ids": encoding.ids, "logits": session.run(["logits"], feed)[0][0].tolist()}))
