"""The host loop of early exits: who leaves where, and what is not run any more."""

import numpy as np
import pytest
import torch

from edgedistill.drivers.cascade import cascade, every_exit, uncertainty
from edgedistill.graphs import State
from edgedistill.models import early_exit

CARRY = State(output="out", input="in")
ROWS = {"input_ids": np.array([[1], [2], [3]]), "attention_mask": np.ones((3, 1), np.int64)}


def segments(seen):
    """Three segments over what a text is worth (its id): each adds 10, and is certain from 12, 22 or always."""

    def first(given):
        return step(given["input_ids"][:, :, None].astype(np.float32), 0)

    def step(value, number):
        seen.append((number, len(value)))
        value = value + 10
        certain = value[:, 0, 0] >= (12, 23, 0)[number]
        logits = np.stack([np.zeros(len(value)), np.where(certain, 9.0, 0.1)], axis=1).astype(np.float32)
        return {"logits": logits} if number == 2 else {"logits": logits, "out": value}

    return [first, lambda given: step(given["in"], 1), lambda given: step(given["in"], 2)]


def test_a_row_leaves_at_the_first_exit_that_is_certain_and_takes_no_time_after_it():
    seen: list[tuple[int, int]] = []
    found = cascade(segments(seen), (0.5, 0.5, 0.5), CARRY)(ROWS)
    assert found["layers"].ravel().tolist() == [3, 1, 1]
    assert seen == [(0, 3), (1, 1), (2, 1)], "rows that left are not run"
    np.testing.assert_allclose(found["logits"][:, 1], 9.0)


@pytest.mark.parametrize("thresholds", [(0.0, 0.0, 0.0), (0.5, 0.5, 0.5), (2.0, 2.0, 2.0), (0.0, 0.5, 0.5)])
def test_asking_every_exit_answers_alike(thresholds):
    early = cascade(segments([]), thresholds, CARRY)(ROWS)
    whole = every_exit(segments([]), thresholds, CARRY)(ROWS)
    for name, value in early.items():
        np.testing.assert_array_equal(value, whole[name])
    assert [whole[f"exit_{number}"].shape for number in (1, 2, 3)] == [(3, 2)] * 3


def test_the_last_segment_always_answers_and_speed_0_never_leaves():
    assert (cascade(segments([]), (0.0, 0.0, 0.0), CARRY)(ROWS)["layers"] == 3).all()
    seen: list[tuple[int, int]] = []
    assert (cascade(segments(seen), (2.0, 2.0, 2.0), CARRY)(ROWS)["layers"] == 1).all()
    assert seen == [(0, 3)]


@pytest.mark.parametrize("classes", [2, 3, 150])
def test_uncertainty_is_the_models_own(classes):
    logits = np.random.default_rng(0).normal(size=(50, classes), scale=3).astype(np.float32)
    logits[0] = 1e4 * np.eye(classes)[0]
    wanted = early_exit.uncertainty(torch.from_numpy(logits)).numpy()
    np.testing.assert_allclose(uncertainty(logits), wanted, atol=1e-6)
