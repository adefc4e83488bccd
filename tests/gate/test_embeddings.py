"""Look-up tables of an integer artifact: one scale for all rows lets one row take the digits of all others."""

import copy

import pytest
import torch

from tests.gate.planted import plant

UNUSED = 4
"""The [MASK] token's row, which no text here reads."""


def rounded(table, is_per_row, outlier):
    """The table as int8 and back, with one row that is larger than the others."""
    table = table.clone()
    table[UNUSED] = outlier * table.abs().max()
    largest = table.abs().amax(dim=1, keepdim=True) if is_per_row else table.abs().max()
    scale = largest.clamp_min(1e-8) / 127
    return (table / scale).round() * scale


@pytest.mark.parametrize(
    ("is_per_row", "outlier", "status"),
    [(True, 1000.0, "passed"), (False, 30.0, "failed"), (False, 1000.0, "failed")],
    ids=["per_row", "per_tensor", "collapsed"],
)
def test_tables_of_one_scale_do_not_pass(tmp_path, is_per_row, outlier, status):
    planted = plant(tmp_path, scheme="int8_weight")
    planted.model = copy.deepcopy(planted.student)
    with torch.no_grad():
        table = planted.model.get_input_embeddings().weight
        table.copy_(rounded(table, is_per_row, outlier))
    rung = planted.rungs("device_int8_weight=10")["student_to_artifact"]
    assert rung.status == status, rung.reason
    assert bool(rung.findings) == (status == "failed")
