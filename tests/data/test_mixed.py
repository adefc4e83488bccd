from collections import Counter

import torch

from edgedistill.data.mixed import Mixed
from edgedistill.training.stage import OptimConfig, Stage
from tests.support import TinyRows


def order(mixed: Mixed, seed: int = 0, epoch: int = 0) -> list[tuple[str | None, tuple[str, ...]]]:
    return [(batch.task, batch.row_ids) for batch in mixed.epoch(seed, epoch, 8)]


def test_every_row_of_every_task_comes_once_in_a_batch_of_its_task():
    mixed = Mixed({"large": TinyRows(60), "small": TinyRows(20)})
    found = order(mixed)
    assert len(mixed) == 80
    stage = Stage("two", torch.nn.Linear(1, 1), mixed, lambda batch: {}, OptimConfig(batch_size=8, epochs=2))
    assert stage.steps == 2 * len(found) == 22
    assert Counter(task for task, _ in found) == {"large": 8, "small": 3}  # in proportion to size
    for task, size in (("large", 60), ("small", 20)):
        assert sorted(row for name, rows in found for row in rows if name == task) == sorted(
            f"train-{row}" for row in range(size)
        )


def test_tasks_are_scattered_by_seed_and_epoch():
    mixed = Mixed({"one": TinyRows(80), "two": TinyRows(80)})
    names = [task for task, _ in order(mixed)]
    assert names != sorted(names, key=str)
    assert order(mixed) == order(mixed)
    assert len({tuple(order(mixed, seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}) == 4
