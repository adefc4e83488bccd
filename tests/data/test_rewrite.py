"""New texts: as often changed as asked, the same in every run, never about nothing of the row."""

import numpy as np
import pytest

from edgedistill.data.order import Tokens
from edgedistill.data.rewrite import MASK, Rates, Replacements, Transfer, encoded, rewritten
from edgedistill.data.task_data import load_task_data
from edgedistill.data.tasks import Task, find_task
from edgedistill.data.treebank import Tags, read_tags
from edgedistill.errors import DataError
from tests.recipes.kitchen import write_uneven_task
from tests.support import tiny_tokenizer, vocabulary, write_jsonl

NOUNS = ("film", "plot", "cast", "scene")
TAGS = Tags(dict.fromkeys(NOUNS, "NOUN") | dict.fromkeys(("great", "dull"), "ADJ"))
TEXTS = ["the film film film plot is great", "the cast is dull"]
CONLLU = """# text = The film's done
1\tThe\tthe\tDET\tDT\t_\t2\tdet\t_\t_
2-3\tfilm's\t_\t_\t_\t_\t_\t_\t_\t_
2\tfilm\tfilm\tNOUN\tNN\t_\t0\troot\t_\t_
3\t's\tbe\tAUX\tVBZ\t_\t2\tcop\t_\t_
3.1\tbeing\tbe\tAUX\tVBZ\t_\t2\tcop\t_\t_
4\tfilm\tfilm\tVERB\tVB\t_\t2\tconj\t_\t_
5\tFilm\tfilm\tNOUN\tNN\t_\t2\tconj\t_\t_

"""


def three_sigma(share, count):
    return 3 * np.sqrt(share * (1 - share) / count)


def test_rates_are_those_asked_for():
    random, words = np.random.default_rng(0), 100_000
    text = " ".join(["film"] * 50)
    swaps = Replacements(Tags({"film": "NOUN", "plot": "NOUN"}), ["plot " * 10_000 + "film"])
    found = [rewritten(text, Rates(0.1, 0.1, 0.0), swaps, random).split() for _ in range(words // 50)]
    flat = [word for line in found for word in line]
    assert len(flat) == words
    assert abs(flat.count(MASK) / words - 0.1) < three_sigma(0.1, words)
    assert abs(flat.count("plot") / words - 0.1) < three_sigma(0.1, words) + 1e-4  # one in ten thousand draws is itself


def test_ngrams_are_a_quarter_of_the_texts_and_one_to_five_words_in_a_row():
    random, text, count = np.random.default_rng(1), " ".join(map(str, range(20))), 20_000
    found = [rewritten(text, Rates(0.0, 0.0, 0.25), None, random).split() for _ in range(count)]
    cut = [line for line in found if len(line) < 20]
    assert abs(len(cut) / count - 0.25) < three_sigma(0.25, count)
    for size in range(1, 6):
        share = sum(len(line) == size for line in cut) / len(cut)
        assert abs(share - 0.2) < three_sigma(0.2, len(cut))
    assert all([int(word) - int(line[0]) for word in line] == list(range(len(line))) for line in cut)
    assert {line[0] for line in cut} >= {"0", "19"}


def test_a_number_that_is_no_range_is_no_word(tmp_path):
    (tmp_path / "t.conllu").write_text(CONLLU.rstrip() + "\n1-x\todd\t_\tX\t_\t_\t_\t_\t_\t_\n", encoding="utf-8")
    tags = read_tags(tmp_path / "t.conllu")
    assert "odd" not in tags.by_word
    assert not any("odd" in text for text in tags.by_text)


@pytest.mark.parametrize("ngram", [0.0, 1.0])
def test_at_least_one_word_is_the_rows_own(ngram):
    random = np.random.default_rng(0)
    for words in range(1, 8):
        text = " ".join(f"w{n}" for n in range(words))
        for _ in range(50):
            found = rewritten(text, Rates(1.0, 0.0, ngram), None, random).split()
            assert sum(word != MASK for word in found) == 1


def test_a_text_without_words_stays():
    assert rewritten("  ", Rates(), None, np.random.default_rng(0)) == "  "


def test_replacements_are_as_frequent_as_in_the_texts_and_keep_the_marks():
    swaps, random = Replacements(TAGS, TEXTS), np.random.default_rng(0)
    drawn = [swaps.draw('"Plot,', "NOUN", random) for _ in range(10_000)]
    assert set(drawn) == {'"film,', '"plot,', '"cast,'}  # 'scene' is in no text
    assert abs(drawn.count('"film,') / 10_000 - 3 / 5) < three_sigma(3 / 5, 10_000)
    assert {swaps.draw("great", "ADJ", random) for _ in range(100)} == {"great", "dull"}
    assert swaps.tags_of('"Plot, unknown ...') == ["NOUN", None, None]
    assert swaps.draw("unknown", None, random) == "unknown"


def test_tags_are_each_words_most_frequent(tmp_path):
    (tmp_path / "t.conllu").write_text(CONLLU, encoding="utf-8")
    assert read_tags(tmp_path / "t.conllu").by_word == {"the": "DET", "film": "NOUN", "'s": "AUX"}


def test_a_text_that_a_tagger_has_read_has_its_tags_where_they_stand(tmp_path):
    lines = [line for line in CONLLU.splitlines() if line]
    lines[-1] = "5\tFilm\tfilm\tPROPN\tNN\t_\t2\tconj\t_\tSpaceAfter=No"
    lines.append("6\t!\t!\tPUNCT\t.\t_\t2\tpunct\t_\t_")
    (tmp_path / "t.conllu").write_text("\n".join(lines) + "\n", encoding="utf-8")  # no blank line at its end
    tags = read_tags(tmp_path / "t.conllu")
    assert tags.by_text == {"The film's film Film!": ("DET", "NOUN", "VERB", "PROPN")}
    assert tags.of(" The  film's film Film!") == ("DET", "NOUN", "VERB", "PROPN")
    assert tags.of("The film's film") is None

    swaps = Replacements(tags, ["The film's film Film!", "a film film"])
    assert swaps.tags_of("The film's film Film!") == ["DET", "NOUN", "VERB", "PROPN"]
    assert swaps.tags_of("a film film") == [None, "NOUN", "NOUN"], "not read by the tagger: the most frequent one"
    random = np.random.default_rng(0)
    assert {swaps.draw("Film!", "PROPN", random) for _ in range(50)} == {"film!"}
    assert {swaps.draw("plot", "NOUN", random) for _ in range(50)} == {"film", "film's"}
    found = {rewritten("The film's film Film!", Rates(0.0, 0.6, 0.0), swaps, random) for _ in range(300)}
    assert any(text.split()[1] == "film" for text in found)
    assert {text.split()[2] for text in found} == {"film"}, "the only verb"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\tThe\tthe\n", "t.conllu, line 1: 3 fields between tabs, CoNLL-U has 10"),
        ("# nothing\n\n", "holds no words"),
        (CONLLU.encode() + b"\xff\xfe\n", "line 10: not UTF-8"),
    ],
)
def test_a_file_that_is_no_conllu_is_refused(tmp_path, text, message):
    (tmp_path / "t.conllu").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=message):
        read_tags(tmp_path / "t.conllu")


def data_of(folder, tokenizer, task=None):
    return load_task_data(
        task or find_task("sst2"),
        folder if task else write_uneven_task(folder, 32),
        tokenizer,
        teacher_tokenizer=tiny_tokenizer(),
        max_length=32,
        seed=0,
    )


def transfer(data, copies=2, rates=None, tags=TAGS, seed=0, teacher=None):
    own = data.tokenizer
    return Transfer(data.train, copies, rates or Rates(0.3, 0.3, 0.3), tags, (own, teacher or own), 32, seed)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return data_of(tmp_path_factory.mktemp("data"), tiny_tokenizer())


def listing(rows, seed=0, epoch=0):
    return [(batch.row_ids, batch.student.input_ids.tolist()) for batch in rows.epoch(seed, epoch, 8)]


def test_every_row_once_as_it_is_and_once_for_each_copy(data):
    rows = transfer(data)
    batches = list(rows.epoch(0, 3, 8))
    assert len(rows) == 3 * len(data.train) == sum(map(len, batches))
    plain = [batch for batch in batches if batch.labels is not None]
    assert sorted(row for batch in plain for row in batch.row_ids) == sorted(data.train.row_ids)
    new = sorted(row for batch in batches if batch.labels is None for row in batch.row_ids)
    assert new == sorted(f"{row}~3.{copy}" for row in data.train.row_ids for copy in range(2))
    assert all(batch.shares_tokens for batch in batches)


def test_batches_by_tokens_leave_none_out(data):
    """Each copy has an order of its own, of more or fewer batches."""
    batches = [list(transfer(data).epoch(0, epoch, Tokens(64))) for epoch in range(3)]
    for epoch, found in enumerate(batches):
        plain = [row for batch in found if batch.labels is not None for row in batch.row_ids]
        new = [row for batch in found if batch.labels is None for row in batch.row_ids]
        assert sorted(plain) == sorted(data.train.row_ids)
        assert sorted(new) == sorted(f"{row}~{epoch}.{copy}" for row in data.train.row_ids for copy in range(2))


def test_new_texts_are_the_same_in_every_run_and_others_in_every_epoch(data):
    one = transfer(data)
    assert listing(one) == listing(transfer(data))
    assert listing(one) != listing(one, epoch=1)
    row = data.train.row_ids[0]
    again = {epoch: one.text(row, epoch, 0) for epoch in range(20)}
    assert again == {epoch: transfer(data).text(row, epoch, 0) for epoch in range(20)}
    assert len(set(again.values())) > 5
    assert transfer(data, seed=1).text(row, 0, 0) != again[0] or transfer(data, seed=2).text(row, 0, 0) != again[0]
    # Whatever the order and the batch, a row's text is its own.
    assert {text for epoch in range(5) for text in [one.text(row, epoch, 1)]} == {
        transfer(data).text(row, epoch, 1) for epoch in reversed(range(5))
    }


def test_new_texts_are_none_of_the_rows(data):
    known = set(data.train.texts)
    rows = transfer(data, rates=Rates(0.1, 0.1, 0.25))
    texts = [rows.text(row, epoch, 0)[0] for row in data.train.row_ids for epoch in range(10)]
    assert sum(text in known for text in texts) < 0.05 * len(texts)


def test_each_pass_has_batches_of_its_own(data):
    rows = transfer(data)
    assert sum(rows.sizes) == len(rows)
    assert sum(-(-size // 5) for size in rows.sizes) == len(list(rows.epoch(0, 0, 5)))


def test_without_copies_the_rows_alone(data):
    assert [row for row, _ in listing(transfer(data, copies=0))] == [
        batch.row_ids for batch in data.train.epoch(0, 0, 8)
    ]


def test_of_a_pair_the_first_the_second_and_both_change_in_turn(tmp_path):
    task = Task(name="p", kind="pair", text=("a", "b"), labels=("no", "yes"))
    made = [{"a": f"the film is {n}", "b": f"a plot was {n}", "label": ("no", "yes")[n % 2]} for n in range(24)]
    for split in ("train", "validation"):
        write_jsonl(tmp_path / f"{split}.jsonl", made)
    data = data_of(tmp_path, tiny_tokenizer(), task)
    rows = transfer(data, copies=3, rates=Rates(0.9, 0.0, 0.0), tags=None)
    old = dict(zip(data.train.row_ids, zip(data.train.texts, data.train.pairs, strict=True), strict=True))
    for row, (a, b) in old.items():
        changed = [tuple(x != y for x, y in zip(rows.text(row, 0, copy), (a, b), strict=True)) for copy in range(3)]
        assert changed == [(True, False), (False, True), (True, True)]
    for batch in rows.epoch(0, 0, 8):
        assert (batch.student.token_type_ids.max(dim=1).values == 1).all()


def test_teacher_and_student_read_the_same_new_text_each_in_its_tokens(tmp_path):
    words = vocabulary()
    other = tiny_tokenizer(words[:5] + words[5:][::-1])
    data = data_of(tmp_path, other)
    for batch in transfer(data, teacher=tiny_tokenizer()).epoch(0, 0, 8):
        assert not batch.shares_tokens
        own, theirs = (
            [[n for n in names if n != "[PAD]"] for names in map(tokenizer.convert_ids_to_tokens, tokens.tolist())]
            for tokenizer, tokens in ((other, batch.student.input_ids), (tiny_tokenizer(), batch.teacher.input_ids))
        )
        assert own == theirs


def test_encoding_is_that_of_the_rows(data):
    batch = next(data.train.all(8))
    texts = list(zip(data.train.texts[:8], data.train.pairs[:8], strict=True))
    found = encoded(data.tokenizer, texts, 32)
    assert all(np.array_equal(a, b) for a, b in zip(vars(found).values(), vars(batch.student).values(), strict=True))
    (masked,) = encoded(data.tokenizer, [(f"the {MASK} .", None)], 32).input_ids.tolist()
    assert masked[2] == data.tokenizer.mask_token_id
