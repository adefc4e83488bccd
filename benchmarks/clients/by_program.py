"""ExecuTorch's runtime on an artifact's own files: FOLDER -> JSON lines on stdout."""

import json
import sys
from pathlib import Path

import torch
from executorch.runtime import Runtime
from tokenizers import Tokenizer

folder = Path(sys.argv[1])
manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
tokenizer.enable_truncation(manifest["tokenizer"]["max_length"])
graphs = sorted(manifest["graphs"], key=lambda graph: graph["length"] or 0)
program = Runtime.get().load_program(str(folder / graphs[0]["file"]))
for line in (folder / "golden.jsonl").read_text(encoding="utf-8").split("\n")[:-1]:
    encoding = tokenizer.encode(json.loads(line)["text"])
    graph = next(graph for graph in graphs if (graph["length"] or len(encoding.ids)) >= len(encoding.ids))
    size = graph["length"] or max(len(encoding.ids), graph["shortest"])
    columns = {
        "input_ids": encoding.ids,
        "attention_mask": [1] * len(encoding.ids),
        "token_type_ids": encoding.type_ids,
    }
    names = [tensor["name"] for tensor in graph["inputs"]]
    feed = [torch.tensor([columns[name] + [0] * (size - len(encoding.ids))]) for name in names]
    (answer,) = program.load_method(graph["signature"]).execute(feed)
    print(json.dumps({"ids": encoding.ids, "logits": answer[0].tolist()}))
