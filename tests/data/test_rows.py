import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgedistill.data.rows import Rows
from edgedistill.data.sources import load_split
from edgedistill.data.task_data import load_judged, load_task_data
from edgedistill.data.tasks import TASKS, Task
from edgedistill.errors import DataError
from tests.support import sentences, tiny_tokenizer, vocabulary, write_jsonl, write_task

SST2, SQUAD = TASKS["sst2"], TASKS["squad"]
SCORE = Task(name="score", kind="regression", metric="pearson_spearman")
TAGS = Task(name="tags", kind="tokens", text=("tokens",), label="tags", labels=("O", "X"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_task(tmp_path_factory.mktemp("task"), train=200)


@pytest.fixture(scope="module")
def rows(folder):
    return Rows(load_split(SST2, "train", folder), "single", tiny_tokenizer(), max_length=32)


def ids(batches):
    return [batch.row_ids for batch in batches]


def test_an_epoch_holds_every_row_once_in_an_order_of_seed_and_epoch(rows):
    first = ids(rows.epoch(3, 0, 32))
    assert sorted(sum(first, ())) == sorted(rows.row_ids)
    assert [len(batch) for batch in first] == [32] * 6 + [8]
    assert ids(rows.epoch(3, 0, 32)) == first
    assert ids(rows.epoch(3, 1, 32)) != first
    assert ids(rows.epoch(4, 0, 32)) != first


@settings(max_examples=25, deadline=None)
@given(size=st.integers(1, 250), seed=st.integers(0, 9))
def test_any_batch_size(rows, size, seed):
    found = ids(rows.epoch(seed, 0, size))
    assert sorted(sum(found, ())) == sorted(rows.row_ids)
    assert {len(batch) for batch in found[:-1]} <= {size}


def test_rows_of_similar_length_go_together(folder):
    """Random order would leave a fifth of these batches padding."""
    texts = [f"{'the film ' * (n % 20)}was great" for n in range(400)]
    write_jsonl(folder / "long" / "train.jsonl", [{"sentence": text, "label": n % 2} for n, text in enumerate(texts)])
    found = Rows(load_split(SST2, "train", folder / "long"), "single", tiny_tokenizer(), max_length=64)
    masks = [batch.student.attention_mask for batch in found.epoch(0, 0, 8)]
    padding = sum(int((mask == 0).sum()) for mask in masks) / sum(mask.numel() for mask in masks)
    assert padding < 0.05
    assert masks[0].shape[1] < masks[1].shape[1] or masks[1].shape[1] < masks[2].shape[1], "batches are shuffled"


def test_all_keeps_the_order(rows):
    assert sum(ids(rows.all(64)), ()) == tuple(rows.row_ids)
    assert rows.row_ids[:2] == ["train-0", "train-1"]


def test_a_batch_is_padded_on_the_right_to_its_longest(rows):
    batch = next(rows.all(8))
    tokens = batch.student
    assert tokens.input_ids.shape == tokens.attention_mask.shape == tokens.token_type_ids.shape
    assert tokens.attention_mask.sum(1).max() == tokens.input_ids.shape[1]
    assert (tokens.input_ids[tokens.attention_mask == 0] == 0).all()
    wanted = tiny_tokenizer()(rows.texts[:8], padding=True, return_tensors="pt")
    assert torch.equal(tokens.input_ids, wanted["input_ids"])
    assert torch.equal(tokens.attention_mask, wanted["attention_mask"])
    assert batch.labels.dtype == torch.int64
    assert batch.labels.tolist() == rows.labels[:8]


def test_padding_is_the_tokenizers_own(folder):
    tokenizer = tiny_tokenizer()
    tokenizer.pad_token = "[MASK]"
    batch = next(Rows(load_split(SST2, "train", folder), "single", tokenizer, max_length=32).all(8))
    assert set(batch.student.input_ids[batch.student.attention_mask == 0].tolist()) == {tokenizer.mask_token_id}


def test_one_view_is_one_object(rows):
    batch = next(rows.all(4))
    assert batch.teacher is batch.student
    assert batch.shares_tokens
    assert rows.shares_tokens


def test_two_views_of_the_same_rows(folder):
    other = tiny_tokenizer([*vocabulary()[:5], *reversed(vocabulary()[5:])])
    data = load_task_data(SST2, folder, tiny_tokenizer(), teacher_tokenizer=other, max_length=32, seed=0)
    batch = next(data.train.epoch(0, 0, 4))
    assert not batch.shares_tokens
    texts = dict(zip(data.train.row_ids, data.train.texts, strict=True))
    wanted = other([texts[row] for row in batch.row_ids], padding=True, return_tensors="pt")["input_ids"]
    assert torch.equal(batch.teacher.input_ids, wanted)
    assert not torch.equal(batch.student.input_ids, batch.teacher.input_ids)


def test_a_teacher_with_the_same_tokenizer_needs_no_second_view(folder):
    data = load_task_data(SST2, folder, tiny_tokenizer(), teacher_tokenizer=tiny_tokenizer(), max_length=32, seed=0)
    assert data.train.shares_tokens


def test_test_judges_and_validation_chooses(folder):
    data = load_task_data(SST2, folder, tiny_tokenizer(), max_length=32, seed=0)
    assert data.labels == ("negative", "positive")
    assert [len(part) for part in (data.train, data.dev, data.judged)] == [200, 32, 32]
    assert data.judged.row_ids[0] == "test-0"
    assert data.dev.row_ids[0] == "validation-0"
    assert data.sha256 == data.train.sha256
    assert data.corpus is None


def test_without_a_test_split_validation_judges_and_train_gives_a_tenth(tmp_path):
    write_task(tmp_path, train=100)
    (tmp_path / "test.jsonl").unlink()
    data = load_task_data(SST2, tmp_path, tiny_tokenizer(), max_length=32, seed=0)
    assert [len(part) for part in (data.train, data.dev, data.judged)] == [90, 10, 32]
    assert data.judged.row_ids[0] == "validation-0"
    assert not set(data.train.row_ids) & set(data.dev.row_ids)
    assert sum(data.dev.labels) == 5
    again = load_task_data(SST2, tmp_path, tiny_tokenizer(), max_length=32, seed=0)
    other = load_task_data(SST2, tmp_path, tiny_tokenizer(), max_length=32, seed=1)
    assert again.dev.row_ids == data.dev.row_ids != other.dev.row_ids


def test_a_test_split_with_withheld_labels_does_not_judge(tmp_path):
    write_task(tmp_path)
    write_jsonl(tmp_path / "test.jsonl", [{"sentence": "the film", "label": -1}])
    assert load_task_data(SST2, tmp_path, tiny_tokenizer(), max_length=32, seed=0).judged.row_ids[0] == "validation-0"


def test_nothing_to_judge_by(tmp_path):
    write_task(tmp_path)
    (tmp_path / "test.jsonl").unlink()
    (tmp_path / "validation.jsonl").unlink()
    with pytest.raises(
        DataError, match=r"no labelled test or validation split .* only train. Put some rows aside as validation"
    ):
        load_task_data(SST2, tmp_path, tiny_tokenizer(), max_length=32, seed=0)


def test_one_class_cannot_be_learnt(tmp_path):
    write_task(tmp_path)
    write_jsonl(tmp_path / "train.jsonl", [{"sentence": text, "label": 1} for text, _ in sentences(20)])
    with pytest.raises(
        DataError, match=r"all 20 training rows of task 'sst2' have the label 'positive'. There is nothing"
    ):
        load_task_data(SST2, tmp_path, tiny_tokenizer(), max_length=32, seed=0)


def test_blank_texts_cannot_be_learnt(tmp_path):
    write_task(tmp_path)
    write_jsonl(tmp_path / "train.jsonl", [{"sentence": " " * (n % 2), "label": n % 2} for n in range(20)])
    with pytest.raises(DataError, match=r"all 20 training rows of task 'sst2' is empty.*'sentence' the right column"):
        load_task_data(SST2, tmp_path, tiny_tokenizer(), max_length=32, seed=0)


def test_a_few_blank_texts_can_be(tmp_path):
    write_task(tmp_path)
    rows = [{"sentence": "the film" * (n > 9), "label": n % 2} for n in range(20)]
    write_jsonl(tmp_path / "train.jsonl", rows)
    assert len(load_task_data(SST2, tmp_path, tiny_tokenizer(), max_length=32, seed=0).train) == 20


def test_limit_is_for_every_split(folder):
    data = load_task_data(SST2, folder, tiny_tokenizer(), max_length=32, seed=0, limit=16)
    assert [len(part) for part in (data.train, data.dev, data.judged)] == [16, 16, 16]


def test_a_corpus_has_no_labels(folder, tmp_path):
    (tmp_path / "a.txt").write_text("the film was great\n\nthe story\n")
    data = load_task_data(SST2, folder, tiny_tokenizer(), max_length=5, seed=0, corpus=tmp_path / "a.txt")
    batch = next(data.corpus.all(2))
    assert batch.labels is None
    assert data.corpus.labels is None
    assert batch.row_ids == ("corpus-0", "corpus-1")
    assert batch.student.input_ids.shape == (2, 5)


def test_scores_are_float32(tmp_path):
    for split in ("train", "test"):
        write_jsonl(tmp_path / f"{split}.jsonl", [{"text": "the film", "label": n / 2} for n in range(20)])
    data = load_task_data(SCORE, tmp_path, tiny_tokenizer(), max_length=8, seed=0)
    batch = next(data.judged.all(3))
    assert batch.labels.dtype == torch.float32
    assert batch.labels.tolist() == [0.0, 0.5, 1.0]
    assert data.labels == ()
    assert len(data.dev) == 2


def spans(folder, split, *contexts):
    rows = [
        {"question": "who", "context": context, "answers": {"text": ["ann"], "answer_start": [context.index("ann")]}}
        for context in contexts
    ]
    write_jsonl(folder / f"{split}.jsonl", rows)


def test_rows_whose_answer_is_cut_away_do_not_train_but_are_judged(tmp_path, capsys):
    far = "it was a very very very long story and the ann"
    spans(tmp_path, "train", "it was ann", far, "ann", "the ann", "a ann")
    spans(tmp_path, "validation", far, "was ann")
    data = load_task_data(SQUAD, tmp_path, tiny_tokenizer(), max_length=12, seed=0)
    trained = set(data.train.row_ids) | set(data.dev.row_ids)
    assert len(data.train) + len(data.dev) + data.train.dropped == 5
    assert data.train.dropped == (0 if "train-1" in data.dev.row_ids else 1)
    assert data.train.dropped == 0 or "training rows left out" in capsys.readouterr().err
    assert ("train-1" in trained) == ("train-1" in data.dev.row_ids)
    batch = next(data.judged.all(2))
    assert batch.labels.tolist() == [[0, 0], [4, 6]]
    assert data.judged.labels == [["ann"], ["ann"]]
    assert len(data.train.texts) == len(data.train) == len(data.train.row_ids)


def test_dropping_keeps_ids_tokens_and_answers_together(tmp_path):
    spans(tmp_path, "train", "it was a very very very long story ann", "it was ann", "ann")
    found = Rows(load_split(SQUAD, "train", tmp_path), "span", tiny_tokenizer(), max_length=10, drops_cut_answers=True)
    assert found.row_ids == ["train-1", "train-2"]
    batch = next(found.all(2))
    assert tiny_tokenizer().decode(batch.student.input_ids[0][5:8]) == "ann"
    assert batch.labels.tolist() == [[5, 7], [3, 5]]
    assert batch.shares_tokens


def test_every_answer_cut_away(tmp_path):
    spans(tmp_path, "train", "it was a very very very long story ann")
    with pytest.raises(DataError, match="Set a larger max_length"):
        Rows(load_split(SQUAD, "train", tmp_path), "span", tiny_tokenizer(), max_length=6, drops_cut_answers=True)


def test_tags_are_padded_with_ignored(tmp_path):
    lines = [{"tokens": ["the", "ab"], "tags": ["O", "X"]}, {"tokens": ["film"], "tags": ["X"]}]
    write_jsonl(tmp_path / "train.jsonl", lines)
    found = Rows(load_split(TAGS, "train", tmp_path), "tokens", tiny_tokenizer(), max_length=16)
    assert next(found.all(2)).labels.tolist() == [[-100, 0, 1, -100, -100], [-100, 1, -100, -100, -100]]
    assert found.labels == [[-100, 0, 1, -100, -100], [-100, 1, -100]]


def test_load_judged_needs_no_train(tmp_path):
    write_task(tmp_path)
    (tmp_path / "train.jsonl").unlink()
    judged, names = load_judged(SST2, tmp_path, tiny_tokenizer(), max_length=32)
    assert names == ("negative", "positive")
    assert judged.row_ids[0] == "test-0"


def test_a_train_split_without_labels_serves_where_none_are_learnt_from(tmp_path):
    """Class names come from the split that has labels, and half of its rows choose."""
    write_jsonl(tmp_path / "train.jsonl", [{"text": f"text {n}"} for n in range(8)])
    write_jsonl(tmp_path / "validation.jsonl", [{"text": f"judged {n}", "label": "ab"[n % 2]} for n in range(6)])
    task = Task(name="own")
    data = load_task_data(task, tmp_path, tiny_tokenizer(), max_length=32, seed=0, needs_labels=False)
    assert data.labels == ("a", "b")
    assert (len(data.train), len(data.dev), len(data.judged)) == (8, 3, 3)
    assert data.train.labels is None
    assert next(data.train.epoch(0, 0, 4)).labels is None
    assert data.judged.labels is not None
    with pytest.raises(DataError, match=r"no column 'label'.*none where their weight is 0"):
        load_task_data(task, tmp_path, tiny_tokenizer(), max_length=32, seed=0)
