import re

import numpy as np
import pytest

from edgedistill.gate.accuracy import decided
from edgedistill.gate.ladder import overall
from edgedistill.parity import Interval
from tests.gate.planted import plant


@pytest.mark.parametrize(
    ("value", "low", "high", "status"),
    [
        (0.2, -0.1, 0.5, "passed"),  # wholly inside
        (-5.0, -9.0, -1.0, "passed"),  # better, however uncertain by how much
        (3.0, 2.0, 4.0, "failed"),  # wholly outside
        (0.5, -0.2, 1.2, "passed"),  # margin 0.7, at most 1 is allowed: the estimate decides
        (1.2, 0.5, 1.9, "failed"),
        (0.5, -1.0, 2.0, "inconclusive"),  # margin 1.5
        (1.2, -0.5, 2.9, "inconclusive"),
    ],
)
def test_rule_for_drops(value, low, high, status):
    assert decided(Interval(value, low, high), 1.0, "<=", widest=1.0, rows=100)[0] == status


@pytest.mark.parametrize(
    ("value", "low", "high", "status"),
    [
        (0.99, 0.975, 1.0, "passed"),
        (0.9, 0.85, 0.95, "failed"),
        (0.98, 0.96, 1.0, "passed"),
        (0.96, 0.95, 0.975, "failed"),
        (0.98, 0.9, 1.06, "inconclusive"),
    ],
)
def test_rule_for_ratios(value, low, high, status):
    assert decided(Interval(value, low, high), 0.97, ">=", widest=0.03, rows=100)[0] == status


def test_inconclusive_says_how_many_rows_would_do():
    _, reason = decided(Interval(0.5, -1.5, 2.5), 1.0, "<=", widest=1.0, rows=100)
    assert "on 100 rows is too uncertain" in reason
    assert "about 400 rows would do" in reason


def test_few_rows_are_inconclusive_even_where_every_answer_agrees(tmp_path):
    rungs = plant(tmp_path, rows=60).rungs()
    assert rungs["student_to_artifact"].status == "passed"
    assert rungs["student_to_artifact_metric"].status == "inconclusive"
    assert overall(list(rungs.values())) == "inconclusive"


def test_loosening_lets_few_rows_pass(tmp_path):
    rungs = plant(tmp_path, rows=60).rungs("metric_drop_margin=10", "teacher_ratio_margin=0.2")
    assert overall(list(rungs.values())) == "passed"


def test_loosening_a_limit_does_not_loosen_how_sure_one_must_be(tmp_path):
    rungs = plant(tmp_path, rows=60).rungs("metric_drop_points=3")
    assert rungs["student_to_artifact_metric"].status == "inconclusive"


@pytest.mark.parametrize(
    ("limit", "setting"),
    [("teacher_to_artifact", "teacher_ratio=1.0"), ("student_to_artifact_metric", "metric_drop_points=0")],
)
def test_a_limit_without_any_room_still_says_how_many_rows_would_do(tmp_path, limit, setting):
    reason = plant(tmp_path, rows=60).rungs(setting)[limit].reason
    needed = int(re.search(r"about ([\d,]+) rows", reason)[1].replace(",", ""))
    assert 60 < needed < 2000


def test_artifact_that_forgets_one_label_is_caught_with_that_labels_recall(good):
    def forgets(runner):
        def run(inputs):
            logits = runner(inputs)["logits"].copy()
            logits[:, 1] -= np.where(inputs["input_ids"].sum(axis=1) % 5 == 0, 100.0, 0.0)
            return {"logits": logits}

        return run

    good.wrap = forgets
    rung = good.rungs()["student_to_artifact_metric"]
    measures = {measure.name: measure.value for measure in rung.measures}
    assert rung.status == "failed"
    assert measures["recall_change_points/positive"] < -5
    assert measures["recall_change_points/negative"] >= 0
    assert measures["drop_points"] == pytest.approx(
        100 * (measures["student_accuracy"] - measures["artifact_accuracy"])
    )


def test_end_to_end_fails_where_the_student_itself_is_too_weak(good):
    def right(row):
        return row | {"teacher": [1.0 - row["label"], float(row["label"])]}

    good.edit_lines("reference.jsonl", right)
    rungs = good.rungs()
    assert rungs["student_to_artifact_metric"].status == "passed"
    assert rungs["teacher_to_artifact"].status == rungs["teacher_to_student"].status == "failed"


@pytest.mark.parametrize("kind", ["pair", "regression", "span", "tokens"])
@pytest.mark.slow
def test_every_kind_of_task_is_judged(tmp_path, kind):
    rungs = plant(tmp_path, kind=kind, rows=320).rungs()
    assert overall(list(rungs.values())) == "passed", {n: r.reason for n, r in rungs.items() if r.reason}
    assert rungs["teacher_to_artifact"].status == "passed"


@pytest.mark.parametrize("kind", ["pair", "regression", "span", "tokens"])
@pytest.mark.slow
def test_random_weights_fail_every_kind_of_task(tmp_path, kind):
    planted = plant(tmp_path, kind=kind, rows=320)
    planted.model = plant(tmp_path / "other", kind=kind, seed=11, rows=8).student
    rungs = planted.rungs()
    assert rungs["student_to_artifact"].status == "failed"
    assert rungs["student_to_artifact_metric"].status == "failed"


@pytest.mark.slow
def test_entities_are_judged_by_the_sentence(tmp_path):
    planted = plant(tmp_path, kind="tokens", rows=320)
    card = planted.manifest.task.model_dump(mode="json") | {"metric": "entity_f1"}
    planted.edit_manifest(task=card)
    rung = planted.rungs()["student_to_artifact_metric"]
    measures = {measure.name: measure.value for measure in rung.measures}
    assert rung.status == "passed"
    assert measures["artifact_entity_f1"] == 1.0
    assert {name for name in measures if name.startswith("recall")} == {
        "recall_change_points/negative", "recall_change_points/positive",
    }  # fmt: skip

    def cut(runner):
        """Every tenth token is said to be of the other kind: an entity is lost, most tags are right."""

        def run(inputs):
            logits = runner(inputs)["logits"].copy()
            logits[:, ::10] = logits[:, ::10, ::-1]
            return {"logits": logits}

        return run

    planted.wrap = cut
    assert planted.rungs()["student_to_artifact_metric"].status == "failed"


def test_embeddings_have_no_metric_but_are_compared(tmp_path):
    planted = plant(tmp_path, kind="embedding", rows=0)
    rungs = planted.rungs()
    assert overall(list(rungs.values())) == "passed", {n: r.reason for n, r in rungs.items() if r.reason}
    assert rungs["student_to_artifact_metric"].status == "not_run"
    planted.model = plant(tmp_path / "other", kind="embedding", seed=11, rows=0).student
    assert overall(list(planted.rungs().values())) == "failed"


@pytest.mark.slow
def test_same_seed_same_verdict(good):
    first, second = good.rungs(), good.rungs()
    assert first == second
