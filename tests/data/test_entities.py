"""Entities and their F1: values worked by hand on CoNLL's rules."""

from __future__ import annotations

import pytest

from edgedistill.data.entities import entities, entities_of, entity_scores, recall_by_kind
from edgedistill.data.tasks import IGNORED, Task

NAMES = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
O, B, I, LB, LI = range(5)  # noqa: E741


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ([O, B, I, O, LB], (("PER", 1, 2), ("LOC", 4, 4))),
        ([B, B, I], (("PER", 0, 0), ("PER", 1, 2))),
        ([I, I, LI], (("PER", 0, 1), ("LOC", 2, 2))),  # begun without B, ended by another kind
        ([B, O, I], (("PER", 0, 0), ("PER", 2, 2))),
        ([O, O], ()),
        ([], ()),
    ],
)
def test_entities_of_a_sentence(tags: list[int], found: tuple[object, ...]) -> None:
    assert entities(tags, NAMES) == found


def test_names_without_marks_are_runs_of_one_tag() -> None:
    assert entities([0, 1, 1, 2, 0], ("O", "city", "name-day")) == (("city", 1, 2), ("name-day", 3, 3))


def test_only_words_count_not_the_pieces_behind_them() -> None:
    given, right = entities_of([O, B, I, I, O], [IGNORED, B, IGNORED, I, IGNORED], NAMES)
    assert given == right == (("PER", 0, 1),)


def test_scores_worked_by_hand() -> None:
    right = [entities([B, I, O, LB], NAMES), entities([O, O], NAMES), entities([LB], NAMES)]
    given = [entities([B, O, O, LB], NAMES), entities([B, O], NAMES), entities([LB], NAMES)]
    # found to the word: 2 of 4 given and 3 right ones
    assert entity_scores(given, right) == {
        "entity_f1": pytest.approx(4 / 7), "precision": 0.5, "recall": pytest.approx(2 / 3),
    }  # fmt: skip
    assert recall_by_kind(given, right) == {"LOC": 1.0, "PER": 0.0}
    assert entity_scores([()], [()])["entity_f1"] == 0


def test_metric_is_of_tags() -> None:
    with pytest.raises(ValueError, match="'entity_f1' is of tags of words; the task is of kind 'single'"):
        Task(name="x", metric="entity_f1")
