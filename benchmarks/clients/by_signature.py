"""LiteRT or its predecessor, whichever is installed, on an artifact's own files: FOLDER -> JSON lines on stdout."""

import json
import sys
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

try:
    from ai_edge_litert.interpreter import Interpreter
except ModuleNotFoundError:
    from tflite_runtime.interpreter import Interpreter

folder = Path(sys.argv[1])
manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
tokenizer.enable_truncation(manifest["tokenizer"]["max_length"])
graphs = sorted(manifest["graphs"], key=lambda graph: graph["length"])
model = Interpreter(str(folder / graphs[0]["file"]), num_threads=1)
for line in (folder / "golden.jsonl").read_text(encoding="utf-8").split("\n")[:-1]:
    encoding = tokenizer.encode(json.loads(line)["text"])
    graph = next(graph for graph in graphs if graph["length"] >= len(encoding.ids))
    columns = {
        "input_ids": encoding.ids,
        "attention_mask": [1] * len(encoding.ids),
        "token_type_ids": encoding.type_ids,
    }
    feed = {}
    for name in (tensor["name"] for tensor in graph["inputs"]):
        feed[name] = np.zeros((1, graph["length"]), np.int32)
        feed[name][0, : len(encoding.ids)] = columns[name]
    answer = model.get_signature_runner(graph["signature"])(**feed)["logits"]
    print(json.dumps({"ids": encoding.ids, "logits": answer[0].tolist()}))
