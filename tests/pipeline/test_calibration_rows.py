"""Rows that calibrate or that a search judges on are none of those the gate judges on."""

import json

from edgedistill.data.tasks import find_task
from edgedistill.pipeline.calibration import train_rows

TASK = "name: twice\nkind: single\nlabels: [bad, good]\n"


def test_a_text_that_both_splits_hold_is_left_out(tmp_path):
    """Published splits share some texts; the gate refuses what was calibrated on its judges."""
    (tmp_path / "task.yaml").write_text(TASK, encoding="utf-8")
    texts = {"train": [f"text {n}" for n in range(60)], "validation": [f"text {n}" for n in range(50, 90)]}
    for split, found in texts.items():
        lines = [json.dumps({"text": text, "label": n % 2}) + "\n" for n, text in enumerate(found)]
        (tmp_path / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
    task = find_task(str(tmp_path / "task.yaml"))
    first = {row["text"] for row in train_rows(task, tmp_path, 20)}
    rest = {row["text"] for row in train_rows(task, tmp_path, 60, but_first=20)}
    assert len(first) == 20
    assert first | rest == {f"text {n}" for n in range(50)}
    assert first.isdisjoint(rest)
