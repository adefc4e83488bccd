"""optimum's ORTModelForSequenceClassification on an artifact folder: FOLDER -> JSON lines on stdout."""

import json
import sys
from pathlib import Path

from optimum.onnxruntime import ORTModelForSequenceClassification
from transformers import AutoTokenizer

folder = sys.argv[1]
model = ORTModelForSequenceClassification.from_pretrained(folder)
tokenizer = AutoTokenizer.from_pretrained(folder)
for line in (Path(folder) / "golden.jsonl").read_text(encoding="utf-8").split("\n")[:-1]:
    tokens = tokenizer(json.loads(line)["text"], return_tensors="pt", truncation=True)
    logits = model(**tokens).logits.detach().numpy().ravel().tolist()
    labels = list(model.config.id2label.values())
    print(json.dumps({"ids": tokens["input_ids"][0].tolist(), "logits": logits, "labels": labels}))
