import json

import numpy as np
import pytest

from edgedistill.data.ranking import sentence_bounds
from edgedistill.data.rows import Rows
from edgedistill.data.sources import load_split
from edgedistill.data.splits import carved, halved
from edgedistill.data.table import values
from edgedistill.data.task_data import load_task_data
from edgedistill.data.tasks import Task, find_task, same_head
from edgedistill.errors import ConfigError, DataError
from tests.support import tiny_tokenizer, write_jsonl

TASK = Task(name="find", kind="ranking", text=("question", "candidate"), metric="ranking")
FOUR = [3, 2, 4, 2]
"""Candidates of each question."""


def write_rows(folder, sizes, split="train"):
    rows = [
        {
            "question": f"what is {'abcdefghijklmnop'[number]}",
            "candidate": f"the film {place}",
            "label": int(place == 1),
        }
        for number, size in enumerate(sizes)
        for place in range(size)
    ]
    return write_jsonl(folder / f"{split}.jsonl", rows)


def sentences(text):
    return [text[start:end] for start, end in sentence_bounds(text)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("It was dull. We left!  Why?", ["It was dull.", "We left!", "Why?"]),
        ("He met Dr. J. R. Smith of the U.S. Army. He left.", ["He met Dr. J. R. Smith of the U.S. Army.", "He left."]),
        ('"It was dull." She left.', ['"It was dull."', "She left."]),
        ("It has 3.5 parts, e.g. two. 2 are red.", ["It has 3.5 parts, e.g. two.", "2 are red."]),
        ("no stop here and small letters follow. as said", ["no stop here and small letters follow. as said"]),
        ("One.\nTwo. ", ["One.", "Two."]),
        ("", []),
    ],
)
def test_cuts_at_sentences(text, wanted):
    assert sentences(text) == wanted


def test_where_text_is_cut_depends_on_nothing_else():
    text = "The first is red. The second is blue (as Mr. Smith said). It is."
    found = sentence_bounds(text)
    assert all(text[start:end].strip() == text[start:end] for start, end in found)
    assert [end for _, end in found[:-1]] < [start for start, _ in found[1:]]


def paragraph(question, text, *answers):
    return {
        "question": question,
        "context": text,
        "answers": {"text": list(answers), "answer_start": [text.index(answer) for answer in answers]},
    }


def test_a_paragraphs_sentences_are_the_candidates(tmp_path):
    text = "The film was great. It was made in 1999. The cast is good."
    rows = [
        paragraph("when was it made", text, "1999"),
        paragraph("what is good", "The cast is good.", "cast"),  # one sentence: nothing to choose between
        paragraph("what was great", text, "The film", "The cast"),
    ]
    write_jsonl(tmp_path / "validation.jsonl", rows)
    found = load_split(find_task("squad_ranking"), "validation", tmp_path)
    assert values(found, "text_pair") == sentences(text) * 2
    assert values(found, "label") == [0, 1, 0, 1, 0, 1]
    assert values(found, "question") == [0, 0, 0, 2, 2, 2]
    assert values(found, "row_id") == [f"validation-{n}" for n in range(6)]


def test_an_answer_belongs_to_the_sentence_it_begins_in(tmp_path):
    text = "The film was great. It was made in 1999."
    write_jsonl(tmp_path / "train.jsonl", [paragraph("what", text, "great. It")])
    assert values(load_split(find_task("squad_ranking"), "train", tmp_path), "label") == [1, 0]


def test_paragraphs_without_labels_are_cut_as_well(tmp_path):
    row = {"question": "what", "context": "The film was great. It was made in 1999."}
    write_jsonl(tmp_path / "validation.jsonl", [row])
    assert values(load_split(find_task("squad_ranking"), "validation", tmp_path), "label") == [None, None]


def test_an_answer_that_is_not_there_is_named(tmp_path):
    row = {**paragraph("what", "It is. It was.", "It is"), "answers": {"text": ["was"], "answer_start": [0]}}
    write_jsonl(tmp_path / "train.jsonl", [row])
    with pytest.raises(
        DataError, match=r"train.jsonl, line 1, column 'answers': the answer 'was' is not at character 0"
    ):
        load_split(find_task("squad_ranking"), "train", tmp_path)


def test_rows_next_to_each_other_are_of_one_question(tmp_path):
    write_rows(tmp_path, FOUR)
    found = load_split(TASK, "train", tmp_path)
    assert values(found, "question") == [n for n, size in enumerate(FOUR) for _ in range(size)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": 0}, "line 4, column 'label': none of this question's 2 candidates is right. Label one with 1"),
        ({"question": "another"}, "line 4, column 'question': this question has one candidate only"),
        ({"label": 7}, "line 5, column 'label': 7 is no label. Allowed: 0, 1"),
        ({"candidate": 3}, "line 5, column 'candidate': 3 is not text"),
    ],
)
def test_what_cannot_be_ranked_is_named(tmp_path, changes, message):
    path = write_rows(tmp_path, FOUR)
    lines = path.read_text().splitlines()
    lines[4] = json.dumps(json.loads(lines[4]) | changes)
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=message):
        load_split(TASK, "train", tmp_path)


def test_a_limit_takes_whole_questions(tmp_path):
    write_rows(tmp_path, FOUR)
    found = load_split(TASK, "train", tmp_path, limit=5)
    assert len(found) <= 5
    assert set(np.bincount(values(found, "question"), minlength=4)) <= {0, *FOUR}
    assert len(load_split(TASK, "train", tmp_path, limit=1)) >= 2


def test_questions_put_aside_are_whole(tmp_path):
    write_rows(tmp_path, FOUR * 3)
    train, dev = carved(load_split(TASK, "train", tmp_path), TASK, seed=0)
    assert not set(values(train, "question")) & set(values(dev, "question"))
    assert len(train) + len(dev) == 33
    assert len(set(values(dev, "question"))) == 1


def test_without_labels_to_learn_from_the_judged_questions_are_halved(tmp_path):
    write_rows(tmp_path, FOUR * 2)
    judged, dev = halved(load_split(TASK, "train", tmp_path), TASK, seed=0)
    asked = [set(values(part, "question")) for part in (judged, dev)]
    assert not asked[0] & asked[1]
    assert [len(part) for part in asked] == [4, 4]
    assert len(judged) + len(dev) == 22


@pytest.fixture
def rows(tmp_path):
    write_rows(tmp_path, FOUR * 4)
    return Rows(load_split(TASK, "train", tmp_path), "ranking", tiny_tokenizer(), max_length=32)


def test_batches_keep_the_candidates_of_a_question_together(rows):
    seen = []
    for batch in rows.epoch(0, 0, 8):
        numbers = batch.questions.tolist()
        assert numbers == [n for n in dict.fromkeys(numbers) for _ in range((FOUR * 4)[n])]
        assert batch.labels.sum() == len(set(numbers))
        assert len(batch) <= 8 + max(FOUR) - 1
        seen += batch.row_ids
    assert sorted(seen) == sorted(rows.row_ids)


def test_batches_come_in_an_order_of_their_own(rows):
    orders = [[batch.row_ids for batch in rows.epoch(*numbers, 8)] for numbers in ((0, 0), (0, 0), (1, 0), (0, 1))]
    assert orders[0] == orders[1]
    assert orders[0] not in orders[2:]
    assert rows.labels[:4] == [[0, 0], [0, 1], [0, 0], [1, 0]]


def test_a_batch_smaller_than_a_question_takes_one_question(rows):
    assert all(len(set(batch.questions.tolist())) == 1 for batch in rows.epoch(0, 0, 1))


def test_all_splits_of_a_ranking_load(tmp_path):
    write_rows(tmp_path, FOUR * 3)
    write_rows(tmp_path, FOUR, "validation")
    data = load_task_data(TASK, tmp_path, tiny_tokenizer(), max_length=32, seed=0)
    assert (len(data.train) + len(data.dev), len(data.judged), data.labels) == (33, 11, ())


def test_ranking_and_its_metric_belong_together(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("kind: ranking\ntext: [question, candidate]\n")
    with pytest.raises(ConfigError, match="a ranking is judged by the metric 'ranking'"):
        find_task(str(path))
    path.write_text("kind: single\nmetric: ranking\n")
    with pytest.raises(ConfigError, match="a ranking is judged by the metric 'ranking'"):
        find_task(str(path))


def test_a_score_is_a_score():
    assert same_head("ranking", "regression")
    assert not same_head("ranking", "pair")
