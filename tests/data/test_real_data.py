"""Public data sets as their authors publish them; EDGEDISTILL_DATA names a folder with one folder for each task."""

import os
from pathlib import Path

import pytest

from edgedistill.data.sources import load_label_names, load_split
from edgedistill.data.tasks import TASKS

HOME = os.environ.get("EDGEDISTILL_DATA")
FOLDERS = {"squad": "squad_v1.1"}
ROWS = {
    "cola": {"train": 8551, "validation": 1043},
    "sst2": {"train": 67349, "validation": 872},
    "mrpc": {"train": 3668, "validation": 408, "test": 1725},
    "stsb": {"train": 5749, "validation": 1500, "test": 1379},
    "rte": {"train": 2490, "validation": 277},
    "qnli": {"validation": 5463},
    "mnli": {"validation": 9815},
    "clinc150": {"train": 15100, "validation": 3100, "test": 5500},
    "snips": {"train": 13084, "validation": 700, "test": 700},
    "atis": {"train": 4478, "validation": 500, "test": 893},
    "trec": {"train": 5452, "test": 500},
    "squad": {"train": 87599, "validation": 10570},
}
CLASSES = {"clinc150": 151, "snips": 7, "atis": 26, "trec": 6, "mnli": 3, "sst2": 2, "stsb": 0, "squad": 0}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(HOME is None, reason="EDGEDISTILL_DATA names no folder of public data sets"),
]


@pytest.mark.parametrize("task", ROWS)
def test_every_row_is_read(task):
    folder = Path(HOME or "") / FOLDERS.get(task, task)
    if not folder.is_dir():
        pytest.skip(f"EDGEDISTILL_DATA has no folder '{folder.name}'")
    for split, count in ROWS[task].items():
        rows = load_split(TASKS[task], split, folder)
        assert len(rows) == count
        assert None not in rows["label"][:]
    if task in CLASSES:
        assert len(load_label_names(TASKS[task], folder)) == CLASSES[task]
