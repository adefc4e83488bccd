import numpy as np

from edgedistill.gate.ladder import overall
from tests.gate.planted import plant


def rung_of(planted, *settings):
    return planted.rungs(*settings)["reference"]


def test_teacher_at_chance_fails_the_gate(good):
    random = np.random.default_rng(3)
    good.edit_lines("reference.jsonl", lambda row: row | {"teacher": random.normal(size=2).tolist()})
    rungs = good.rungs()
    assert [fault.name for fault in rungs["reference"].findings] == ["teacher_at_chance"]
    assert overall(list(rungs.values())) == "failed"


def test_constant_teacher(good):
    good.edit_lines("reference.jsonl", lambda row: row | {"teacher": [1.0, 0.0]})
    assert [fault.name for fault in rung_of(good).findings] == ["constant_answers"]


def test_teacher_with_nan(good):
    good.edit_lines("reference.jsonl", lambda row: row | {"teacher": [float("nan"), 0.0]})
    assert "unreadable_goldens" in good.findings()


def test_few_rows_prove_nothing_and_say_how_many_would(tmp_path):
    rung = rung_of(plant(tmp_path, rows=4))
    assert rung.status == "inconclusive"
    assert "4 rows do not prove" in rung.reason


def test_rows_without_labels_are_not_judged(good):
    good.edit_lines("reference.jsonl", lambda row: row | {"label": None})
    assert rung_of(good).status == "not_run"
