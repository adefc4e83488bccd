"""transformers' AutoTokenizer and AutoConfig on an artifact folder: FOLDER -> JSON lines on stdout."""

import json
import sys
from pathlib import Path

from transformers import AutoConfig, AutoTokenizer

folder = sys.argv[1]
tokenizer, config = AutoTokenizer.from_pretrained(folder), AutoConfig.from_pretrained(folder)
for line in (Path(folder) / "golden.jsonl").read_text(encoding="utf-8").split("\n")[:-1]:
    ids = tokenizer(json.loads(line)["text"], truncation=True)["input_ids"]
    print(json.dumps({"ids": ids, "labels": list(config.id2label.values())}))
