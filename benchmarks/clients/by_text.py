"""MediaPipe's TextClassifier, or TFLite Task Library's BertNLClassifier: raw text in. FOLDER -> JSON lines."""

import json
import sys
from pathlib import Path

folder = Path(sys.argv[1])
model = str(folder / "model.tflite")
try:
    from mediapipe.tasks.python import BaseOptions, text

    options = text.TextClassifierOptions(base_options=BaseOptions(model_asset_path=model))
    classifier = text.TextClassifier.create_from_options(options)
except ModuleNotFoundError:
    from tflite_support.task import text

    classifier = text.BertNLClassifier.create_from_file(model)
labels = (folder / "labels.txt").read_text(encoding="utf-8").split("\n")[:-1]
for line in (folder / "golden.jsonl").read_text(encoding="utf-8").split("\n")[:-1]:
    found = classifier.classify(json.loads(line)["text"]).classifications[0].categories
    scores = {one.category_name: one.score for one in found}
    print(json.dumps({"logits": [scores[label] for label in labels], "labels": labels}))
