import json
import logging

import pytest
from datasets import ClassLabel, Dataset, Features, Value

from edgedistill.data.sources import load_label_names, load_split
from edgedistill.data.tasks import TASKS, HubSource, Task
from edgedistill.errors import DataError
from tests.support import write_jsonl

MINE = Task(name="mine", text=("text",), label="label")
PAIR = Task(name="two", kind="pair", text=("a", "b"), labels=("no", "yes"))
SCORE = Task(name="score", kind="regression", metric="pearson_spearman")
TAGS = Task(name="tags", kind="tokens", text=("tokens",), label="tags")


def folder(tmp_path, **splits):
    for split, rows in splits.items():
        write_jsonl(tmp_path / f"{split}.jsonl", rows)
    return tmp_path


def rows(*labels, column="label"):
    return [{"text": f"text {n}", column: label} for n, label in enumerate(labels)]


def test_columns_and_stable_ids(tmp_path):
    write_jsonl(tmp_path / "train.jsonl", [{"a": "x", "b": "y", "label": "yes"}, {"a": "z", "b": "", "label": 0}])
    assert load_split(PAIR, "train", tmp_path)[:] == {
        "row_id": ["train-0", "train-1"],
        "text": ["x", "z"],
        "text_pair": ["y", ""],
        "label": [1, 0],
    }


def test_limit_takes_the_same_rows_everywhere_in_the_file_and_keeps_their_ids(tmp_path):
    data = folder(tmp_path, train=rows(*[0] * 50, *[1] * 50))
    some = load_split(MINE, "train", data, limit=10)
    assert len(some) == 10
    assert set(some["label"]) == {0, 1}
    assert some["row_id"][:] == load_split(MINE, "train", data, limit=10)["row_id"][:]
    everything = load_split(MINE, "train", data)
    texts = dict(zip(everything["row_id"], everything["text"], strict=True))
    assert all(texts[row["row_id"]] == row["text"] for row in some)
    with pytest.raises(DataError, match=r"--limit 0 leaves no rows"):
        load_split(MINE, "train", data, limit=0)


@pytest.mark.parametrize(
    ("labels", "names", "numbers"),
    [
        (["b", "a", "b"], ("a", "b"), [1, 0, 1]),
        ([0, 2, 1], ("0", "1", "2"), [0, 2, 1]),
        ([0, 2, 2], ("0", "1", "2"), [0, 2, 2]),
        ([1, 5, 3], ("1", "3", "5"), [0, 2, 1]),
        ([True, False], ("0", "1"), [1, 0]),
        ([1.0, 0.0], ("0", "1"), [1, 0]),
        (["0", "1"], ("0", "1"), [0, 1]),
    ],
)
def test_class_names_from_the_data(tmp_path, labels, names, numbers):
    data = folder(tmp_path, train=rows(*labels))
    assert load_label_names(MINE, data) == names
    assert load_split(MINE, "train", data)["label"][:] == numbers


def test_names_beside_the_data_come_first(tmp_path):
    data = folder(tmp_path, train=rows("a", 1))
    (data / "label_names.json").write_text('["b", "a"]')
    assert load_label_names(MINE, data) == ("b", "a")
    assert load_split(MINE, "train", data)["label"][:] == [1, 1]


@pytest.mark.parametrize("text", ['{"a": 1}', "[1, 2]", '["a", "a"]', '["a"]', "nothing"])
def test_wrong_label_names(tmp_path, text):
    data = folder(tmp_path, train=rows("a", "b"))
    (data / "label_names.json").write_text(text)
    with pytest.raises(DataError, match=r"label_names.json'.*It must hold a list of different class names"):
        load_label_names(MINE, data)


def test_labels_only_outside_train_come_last_with_a_warning(tmp_path, caplog):
    data = folder(tmp_path, train=rows("b", "c"), test=rows("a", "b"))
    with caplog.at_level(logging.WARNING):
        assert load_label_names(MINE, data) == ("b", "c", "a")
    assert "labels that are not in train: a" in caplog.text


def test_parquet_class_names_give_numbers_their_meaning(tmp_path):
    features = Features({"sentence": Value("string"), "label": ClassLabel(names=["positive", "negative"])})
    table = Dataset.from_dict({"sentence": ["x", "y"], "label": [0, 1]}, features=features)
    table.to_parquet(str(tmp_path / "train.parquet"))
    assert load_split(TASKS["sst2"], "train", tmp_path)["label"][:] == [1, 0]


@pytest.mark.parametrize(
    ("task", "columns"),
    [
        ("clinc150", ("text", "label")),
        ("snips", ("text", "intent")),
        ("trec", ("text", "coarse")),
        ("sst2", ("text", "label")),
    ],
)
def test_built_in_tasks_take_the_usual_other_columns(tmp_path, task, columns):
    names = TASKS[task].labels or ("x", "y")
    lines = [dict(zip(columns, ("hello", name), strict=True)) for name in names]
    data = folder(tmp_path, train=lines)
    assert load_split(TASKS[task], "train", data)["label"][:] == list(range(len(names)))


def test_trec_is_read_by_name_where_its_numbers_have_another_order(tmp_path):
    data = folder(tmp_path, train=[{"text": "q", "label": 1, "coarse": "DESC"}])
    assert load_split(TASKS["trec"], "train", data)["label"][:] == [2]


def test_a_yaml_task_has_no_aliases(tmp_path):
    data = folder(tmp_path, train=rows(0, 1, column="labels"))
    with pytest.raises(
        DataError,
        match=r"train.jsonl has no column 'label', which task 'mine' reads. Did you mean 'labels'\? "
        r"There are: text, labels. Rename one, or describe your columns in a YAML file",
    ):
        load_split(MINE, "train", data)


@pytest.mark.parametrize(
    ("task", "row", "message"),
    [
        (MINE, {"text": "x", "label": None}, "line 3, column 'label': no label. Fill it in"),
        (
            PAIR,
            {"a": "x", "b": "y", "label": "yse"},
            r"'yse' is no label. Did you mean 'yes'\? Allowed: no, yes, or 0 to 1.",
        ),
        (PAIR, {"a": "x", "b": "y", "label": 2}, "2 is no label. Allowed: no, yes"),
        (PAIR, {"a": "x", "b": "y", "label": 0.5}, "0.5 is no label"),
        (PAIR, {"a": 7, "b": "y", "label": 0}, "line 3, column 'a': 7 is not text. Put a string there"),
        (PAIR, {"a": "x", "label": 0}, "line 3, column 'b': missing. Put a string there"),
        (SCORE, {"text": "x", "label": "high"}, "line 3, column 'label': 'high' is no finite number"),
        (SCORE, {"text": "x", "label": True}, "True is no finite number"),
        (TAGS, {"tokens": ["a", "b"], "tags": ["O"]}, "column 'tags': 1 tags for 2 words. Give one tag for every word"),
        (TAGS, {"tokens": [], "tags": []}, r"column 'tokens': \[\] is no list of words"),
        (TAGS, {"tokens": ["a"], "tags": 3}, "3 is no list of tags"),
    ],
)
def test_wrong_rows(tmp_path, task, row, message):
    good = {
        "mine": {"text": "x", "label": 0},
        "two": {"a": "x", "b": "y", "label": 0},
        "score": {"text": "x", "label": 1},
        "tags": {"tokens": ["a", "b"], "tags": ["O", "B-x"]},
    }[task.name]
    (tmp_path / "train.jsonl").write_text(
        f"{json.dumps(good)}\n\n{json.dumps(row)}\n{json.dumps(good | {'label': 1})}\n"
    )
    with pytest.raises(DataError, match=message):
        load_split(task, "train", tmp_path)


def answers(text, start):
    return {"question": "who", "context": "it was Ann Lee", "answers": {"text": text, "answer_start": start}}


def test_answers(tmp_path):
    data = folder(tmp_path, train=[answers(["Ann", "Ann Lee"], [7, 7]), answers([], [])])
    found = load_split(TASKS["squad"], "train", data)
    assert found["text"][:] == ["who", "who"]
    assert found["label"][:] == [{"text": ["Ann", "Ann Lee"], "start": [7, 7]}, {"text": [], "start": []}]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            answers(["Ann"], [6]),
            r"line 1, column 'answers': the answer 'Ann' is not at character 6 of 'context' \(found ' An'\)",
        ),
        (answers(["Ann"], [-1]), "not at character -1"),
        (answers(["Ann"], []), "is no answer. Write"),
        (answers("Ann", 7), "is no answer. Write"),
        (answers(["Ann"], [7]) | {"answers": "Ann"}, r"'Ann' is no answer. Write \{"),
    ],
)
def test_wrong_answers(tmp_path, row, message):
    with pytest.raises(DataError, match=message):
        load_split(TASKS["squad"], "train", folder(tmp_path, train=[row]))


def test_tags_and_their_words(tmp_path):
    line = {"tokens": ["play", "daft", "punk"], "tags": ["O", "B-artist", "I-artist"]}
    data = folder(tmp_path, train=[line, {"tokens": "play jazz", "tags": "O B-genre"}])
    assert load_label_names(TAGS, data) == ("B-artist", "B-genre", "I-artist", "O")
    found = load_split(TAGS, "train", data)
    assert found["text"][:] == ["play daft punk", "play jazz"]
    assert found["words"][:] == [["play", "daft", "punk"], ["play", "jazz"]]
    assert found["label"][:] == [[3, 0, 2], [3, 1]]


@pytest.mark.parametrize("label", [-1, None])
def test_withheld_labels_are_none_but_not_in_train(tmp_path, label):
    data = folder(tmp_path, train=rows(label, label), test=rows(label, label), validation=rows("a", "b"))
    assert (
        load_split(PAIR.model_copy(update={"kind": "single", "text": ("text",)}), "test", data)["label"][:]
        == [None] * 2
    )
    with pytest.raises(DataError, match=r"line 1, column 'label'"):
        load_split(MINE, "train", data)


def test_lone_surrogates_become_replacement_characters(tmp_path):
    (tmp_path / "train.jsonl").write_text('{"text": "a\\ud800b", "label": 0}\n{"text": "c", "label": 1}\n')
    assert load_split(MINE, "train", tmp_path)["text"][0] == "a\ufffdb"


def test_scores(tmp_path):
    data = folder(tmp_path, train=rows(1, 2.5, "3.25"))
    assert load_label_names(SCORE, data) == ()
    assert load_split(SCORE, "train", data)["label"][:] == [1.0, 2.5, 3.25]


def test_too_many_classes_are_no_classes(tmp_path):
    data = folder(tmp_path, train=rows(*[f"text {n}" for n in range(1001)]))
    with pytest.raises(DataError, match=r"holds 1001 different values, so it is no class label"):
        load_split(MINE, "train", data)


def test_one_class_is_none(tmp_path):
    with pytest.raises(DataError, match=r"task 'mine' needs two classes or more; its labels are \['a'\]"):
        load_split(MINE, "train", folder(tmp_path, train=rows("a", "a")))


def test_missing_split(tmp_path):
    with pytest.raises(
        DataError, match=r"has no split 'test' of task 'mine'. There are: train. Give it, or .* edgedistill config task"
    ):
        load_split(MINE, "test", folder(tmp_path, train=rows("a", "b")))


def test_missing_folder(tmp_path):
    with pytest.raises(DataError, match=r"--data '.*none' does not exist. Give the folder that holds train.jsonl or"):
        load_split(MINE, "train", tmp_path / "none")


def test_file_for_a_folder(tmp_path):
    data = folder(tmp_path, train=rows("a", "b"))
    with pytest.raises(DataError, match=r"is a file, not a folder"):
        load_split(MINE, "train", data / "train.jsonl")


def test_folder_without_the_task(tmp_path):
    (tmp_path / "dev.json").touch()
    with pytest.raises(
        DataError, match=r"holds no data of task 'mine': expected train.jsonl or .* It holds: dev.json."
    ):
        load_split(MINE, "train", tmp_path)


def test_two_files_for_one_split(tmp_path):
    data = folder(tmp_path, train=rows("a", "b"))
    (data / "train.csv").touch()
    with pytest.raises(DataError, match=r"holds train.jsonl and train.csv. Keep one of them"):
        load_split(MINE, "train", data)


def test_yaml_task_without_data_or_hub():
    with pytest.raises(
        DataError, match=r"task 'mine' has no 'hub' to load from. Give its files with --data DIR \(train.jsonl"
    ):
        load_split(MINE, "train", None)


def test_custom_hub_source_without_the_parquet_branch(tmp_path):
    """`datasets` takes a folder for a Hub id; this is the path a task file with a plain Hub id goes."""
    data = folder(tmp_path, train=rows("a", "b"), test=rows("b"))
    task = MINE.model_copy(update={"hub": HubSource(path=str(data))})
    assert load_split(task, "test", None)["label"][:] == [1]
    missing = task.model_copy(update={"splits": {"train": "training"}})
    with pytest.raises(DataError, match=r"has none of the splits training. There are: train, test"):
        load_split(missing, "train", None)


def test_the_assistant_needs_no_data():
    found = load_split(TASKS["assistant"], "validation", None, limit=5)
    assert len(found) == 5
    assert set(found.column_names) == {"row_id", "text", "text_pair", "label"}
    assert load_label_names(TASKS["assistant"], None)[0] == "set_alarm"
