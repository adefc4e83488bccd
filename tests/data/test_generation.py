"""Tasks whose answer is a text: how their rows are read, cut and put together."""

import pytest

from edgedistill.data.rows import Rows
from edgedistill.data.sources import load_split
from edgedistill.data.task_data import load_task_data
from edgedistill.data.tasks import IGNORED, TASKS, Task
from edgedistill.errors import DataError
from tests.recipes.kitchen import WRITING, write_pairs
from tests.support import tiny_tokenizer, write_jsonl

END = tiny_tokenizer().sep_token_id


def rows_of(folder, split="train", task=WRITING, **more):
    return Rows(
        load_split(task, split, folder), "generation", tiny_tokenizer(), max_length=more.pop("length", 32), **more
    )


def decoded(row):
    return tiny_tokenizer().decode([token for token in row.tolist() if token != IGNORED])


def test_a_batch_holds_the_texts_tokens_with_the_end_behind_them(tmp_path):
    write_jsonl(
        tmp_path / "train.jsonl",
        [
            {"facts": "film great", "sentence": "the film is great"},
            {"facts": "plot very very dull", "sentence": "dull"},
        ],
    )
    (batch,) = rows_of(tmp_path).all(8)
    assert [decoded(row) for row in batch.labels] == ["the film is great [SEP]", "dull [SEP]"]
    assert batch.labels[1].tolist()[1:] == [END, IGNORED, IGNORED, IGNORED]
    assert [decoded(row) for row in batch.student.input_ids] == [
        "[CLS] film great [SEP] [PAD] [PAD]",
        "[CLS] plot very very dull [SEP]",
    ]


def test_rows_of_one_source_are_judged_together_and_learnt_apart(tmp_path):
    made = [
        {"facts": "film great", "sentence": "the film is great"},
        {"facts": "plot dull", "sentence": ["the plot is dull", "dull plot"]},
        {"facts": "film great", "sentence": "great film"},
    ]
    for split in ("train", "validation"):
        write_jsonl(tmp_path / f"{split}.jsonl", made)
    assert rows_of(tmp_path).labels == [["the film is great"], ["the plot is dull", "dull plot"], ["great film"]]
    judged = rows_of(tmp_path, "validation")
    assert judged.row_ids == ["validation-0", "validation-1"]
    assert judged.labels == [["the film is great", "great film"], ["the plot is dull", "dull plot"]]
    (batch,) = judged.all(8)
    assert decoded(batch.labels[0]) == "the film is great [SEP]"


def test_a_target_that_is_too_long_is_not_learnt_but_judged(tmp_path):
    made = [{"facts": "film", "sentence": "very " * count + "great"} for count in (6, 7, 8)]
    for split in ("train", "validation"):
        write_jsonl(tmp_path / f"{split}.jsonl", [dict(row, facts=f"film {n}") for n, row in enumerate(made)])
    learnt = rows_of(tmp_path, length=8, drops_cut_answers=True)
    assert (len(learnt), learnt.dropped) == (1, 2)  # 7 tokens and the end
    judged = rows_of(tmp_path, "validation", length=8)
    assert len(judged) == len(judged.labels) == 3
    (batch,) = judged.all(8)
    assert batch.labels.ne(IGNORED).sum(dim=1).tolist() == [8, 0, 0]


def test_nothing_but_targets_that_are_too_long(tmp_path):
    write_jsonl(tmp_path / "train.jsonl", [{"facts": "film", "sentence": "very " * 20}])
    with pytest.raises(DataError, match="larger max_length"):
        rows_of(tmp_path, length=8, drops_cut_answers=True)
    (batch,) = rows_of(tmp_path, length=8).all(8)
    assert batch.labels.tolist() == [[IGNORED]]


@pytest.mark.parametrize("wrong", [3, [], [1], "", {"text": "x"}])
def test_a_cell_that_is_no_text_is_named(tmp_path, wrong):
    write_jsonl(tmp_path / "train.jsonl", [{"facts": "a", "sentence": "b"}, {"facts": "a", "sentence": wrong}])
    with pytest.raises(DataError, match=r"line 2, column 'sentence': .* is no text"):
        rows_of(tmp_path)


def test_squads_questions_are_asked_from_answer_and_paragraph(tmp_path):
    row = {"question": "what is it", "context": "the film", "answers": {"text": ["film"], "answer_start": [4]}}
    for split in ("train", "validation"):
        write_jsonl(tmp_path / f"{split}.jsonl", [row] * 3)
    found = load_split(TASKS["squad_questions"], "train", tmp_path)
    assert (found[0]["text"], found[0]["text_pair"], found[0]["label"]) == ("film", "the film", ["what is it"])
    write_jsonl(tmp_path / "train.jsonl", [{**row, "answers": {"text": [], "answer_start": []}}])
    with pytest.raises(DataError, match="column 'answers': missing"):
        load_split(TASKS["squad_questions"], "train", tmp_path)


def test_development_rows_are_carved_where_there_are_none(tmp_path):
    folder = write_pairs(tmp_path)
    (folder / "validation.jsonl").unlink()
    data = load_task_data(WRITING, folder, tiny_tokenizer(), max_length=32, seed=0)
    assert (len(data.train), len(data.dev), data.labels) == (58, 6, ())
    assert Task(name="x", kind="generation", text=("a", "b"), metric="rouge_l").has_classes is False
