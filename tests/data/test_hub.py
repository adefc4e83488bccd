"""The Hub, through a stand-in on 127.0.0.1 that a fresh process is pointed to by HF_ENDPOINT."""

import json
import os
import subprocess
import sys

import pytest
from datasets import ClassLabel, Dataset, Features, Value

from edgedistill.data.sources import load_split
from edgedistill.data.tasks import TASKS
from edgedistill.errors import DataError
from tests.data.local_hub import serving

SCRIPT = """
import json, sys
from edgedistill.data.sources import load_label_names, load_split
from edgedistill.data.tasks import find_task
from edgedistill.errors import DataError
task = find_task(sys.argv[1])
try:
    names = load_label_names(task, None)
    rows = {split: load_split(task, split, None)[:] for split in sys.argv[2:]}
    print(json.dumps({"names": names, "rows": rows}))
except DataError as error:
    print(json.dumps({"error": str(error)}))
"""


@pytest.fixture
def ask(tmp_path):
    """Runs the script against a Hub that serves what is below tmp_path/hub."""

    def run(task, *splits, address=None):
        with serving(tmp_path / "hub") as (served, asked):
            environment = os.environ | {
                "HF_ENDPOINT": address or served,
                "HF_HUB_OFFLINE": "0",
                "HF_HOME": str(tmp_path / "home"),
                "HF_HUB_DISABLE_XET": "1",
                "HF_HUB_DISABLE_TELEMETRY": "1",
                "NO_PROXY": "127.0.0.1",
            }
            done = subprocess.run(
                [sys.executable, "-c", SCRIPT, task, *splits],
                env=environment,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout) | {"asked": asked}

    return run


def publish(folder, columns, features=None):
    folder.mkdir(parents=True)
    Dataset.from_dict(columns, features=features).to_parquet(str(folder / "0000.parquet"))


@pytest.mark.slow
def test_reads_the_parquet_branch_and_its_class_names(tmp_path, ask):
    features = Features({"text": Value("string"), "intent": ClassLabel(names=["yes", "no", "oos"])})
    home = tmp_path / "hub" / "clinc" / "clinc_oos"
    publish(home / "plus" / "train", {"text": ["a", "b"], "intent": [2, 0]}, features)
    publish(home / "plus" / "test", {"text": ["c"], "intent": [1]}, features)
    publish(home / "small" / "train", {"text": ["not this one"], "intent": [1]}, features)

    found = ask("clinc150", "train", "test")

    assert found["names"] == ["yes", "no", "oos"]
    assert found["rows"]["train"] == {
        "row_id": ["train-0", "train-1"],
        "text": ["a", "b"],
        "text_pair": [None, None],
        "label": [2, 0],
    }
    assert found["rows"]["test"]["label"] == [1]
    assert any("refs/convert/parquet" in path for path in found["asked"])
    assert (tmp_path / "home").is_dir()


@pytest.mark.slow
def test_class_numbers_of_another_order_are_read_by_name(tmp_path, ask):
    features = Features({"sentence": Value("string"), "label": ClassLabel(names=["positive", "negative"])})
    columns = {"sentence": ["good", "bad"], "label": [0, 1]}
    publish(tmp_path / "hub" / "nyu-mll" / "glue" / "sst2" / "validation", columns, features)
    assert ask("sst2", "validation")["rows"]["validation"]["label"] == [1, 0]


@pytest.mark.slow
def test_unknown_dataset(tmp_path, ask):
    (tmp_path / "hub").mkdir()
    error = ask("ag_news", "train")["error"]
    assert "cannot load dataset 'fancyzhx/ag_news' (default) from the Hugging Face Hub" in error
    assert "--data DIR (train.jsonl, test.jsonl)" in error


@pytest.mark.slow
def test_configuration_that_is_not_there(tmp_path, ask):
    publish(tmp_path / "hub" / "nyu-mll" / "glue" / "cola" / "train", {"sentence": ["a"], "label": [0]})
    assert "its branch refs/convert/parquet has no files rte/<split>/*.parquet" in ask("rte", "train")["error"]


@pytest.mark.slow
def test_unreachable_hub(tmp_path, ask):
    (tmp_path / "hub").mkdir()
    error = ask("sst2", "train", address="http://127.0.0.1:9")["error"]
    assert "cannot load dataset 'nyu-mll/glue' (sst2)" in error
    assert "--data DIR" in error


def test_hub_switched_off():
    with pytest.raises(DataError, match=r"HF_HUB_OFFLINE is set.*--data DIR"):
        load_split(TASKS["sst2"], "train", None)
