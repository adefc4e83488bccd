import numpy as np
import pytest
from datasets import Dataset

from edgedistill.data.splits import carved, halved
from edgedistill.data.tasks import TASKS
from edgedistill.errors import DataError


def rows(labels):
    return Dataset.from_dict({"row_id": [f"train-{n}" for n in range(len(labels))], "label": labels})


def test_dev_has_every_class_in_its_share():
    train, dev = carved(rows([0] * 600 + [1] * 300 + [2] * 100), TASKS["clinc150"], seed=0)
    assert len(train) + len(dev) == 1000
    assert np.abs(np.bincount(dev["label"]) - [60, 30, 10]).max() <= 1
    assert not set(train["row_id"]) & set(dev["row_id"])


def test_dev_has_at_most_1000_rows():
    train, dev = carved(rows([0, 1] * 10_000), TASKS["sst2"], seed=0)
    assert (len(train), len(dev)) == (19_000, 1000)


@pytest.mark.parametrize("seed", range(20))
def test_a_rare_class_stays_in_train(seed):
    train, _ = carved(rows([0] * 30 + [1]), TASKS["sst2"], seed)
    assert 1 in train["label"][:]


def test_numbers_are_taken_at_random():
    _, dev = carved(rows([n / 10 for n in range(100)]), TASKS["stsb"], seed=0)
    assert len(dev) == 10


def test_rows_keep_their_order():
    train, dev = carved(rows([0, 1] * 50), TASKS["sst2"], seed=5)
    for part in (train, dev):
        numbers = [int(row.removeprefix("train-")) for row in part["row_id"]]
        assert numbers == sorted(numbers)


def test_too_few_rows():
    with pytest.raises(DataError, match="has 2 training rows, too few to put one aside"):
        carved(rows([0, 1]), TASKS["sst2"], seed=0)


def test_half_of_the_judged_rows_choose_where_train_has_no_labels():
    judged, dev = halved(rows([0, 1] * 50 + [0]), TASKS["sst2"], seed=0)
    assert (len(judged), len(dev)) == (51, 50)
    assert not set(judged["row_id"]) & set(dev["row_id"])
    assert halved(rows([0, 1] * 50 + [0]), TASKS["sst2"], seed=0)[1]["row_id"][:] == dev["row_id"][:]
    with pytest.raises(DataError, match="labels in one row only"):
        halved(rows([0]), TASKS["sst2"], seed=0)
