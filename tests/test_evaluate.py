import numpy as np
import pytest
from sklearn import metrics as sk

from edgedistill import evaluate
from edgedistill.data.encoding import Encoding
from edgedistill.errors import MissingExtraError

RANDOM = np.random.default_rng(0)


def texts(*lengths):
    return [Encoding(tuple(range(1, n + 1)), (0,) * n) for n in lengths]


def summing_runner(seen=None):
    """Logits (sum of real ids, their number); per token the id itself."""

    def run(inputs):
        if seen is not None:
            seen.append(inputs["input_ids"].shape)
        ids = inputs["input_ids"] * inputs["attention_mask"]
        logits = np.stack([ids.sum(1), inputs["attention_mask"].sum(1)], 1).astype(np.float32)
        return {"logits": logits, "start_logits": ids.astype(np.float32)}

    return run


def test_predict_keeps_the_order_and_pads_nothing():
    seen = []
    outputs = evaluate.predict(summing_runner(seen), texts(5, 2, 5, 2, 2), batch_size=2)
    assert [list(row) for row in outputs["logits"]] == [[15, 5], [3, 2], [15, 5], [3, 2], [3, 2]]
    assert [len(row) for row in outputs["start_logits"]] == [5, 2, 5, 2, 2]
    assert seen == [(2, 2), (1, 2), (2, 5)]


def test_predict_where_texts_share_a_batch_keeps_the_order_and_cuts_padding():
    seen = []
    outputs = evaluate.predict(summing_runner(seen), texts(5, 2, 9, 3), batch_size=2, pad_id=0)
    assert [list(row) for row in outputs["logits"]] == [[15, 5], [3, 2], [45, 9], [6, 3]]
    assert [len(row) for row in outputs["start_logits"]] == [5, 2, 9, 3]
    assert seen == [(2, 3), (2, 9)]  # short with short, long with long


def test_predict_of_nothing_is_nothing():
    assert evaluate.predict(summing_runner(), []) == {}


def test_predict_pads_with_the_tokenizers_own_token():
    def run(inputs):
        return {"logits": inputs["input_ids"][:, -1:].astype(np.float32)}

    assert evaluate.predict(run, texts(2, 4), pad_id=7)["logits"][0][0] == 7


def test_sentence_logits_as_wide_as_the_text_are_not_cut():
    def run(inputs):
        return {"logits": np.ones((len(inputs["input_ids"]), 4), np.float32)}

    assert [len(row) for row in evaluate.predict(run, texts(2, 4))["logits"]] == [4, 4]


@pytest.mark.parametrize(
    ("kind", "row", "answer"),
    [
        ("single", [0.1, 3.0, -1.0], 1),
        ("regression", [2.5], 2.5),
        ("span", [0.0, 5.0, 0.0, 0.0, 0.0, 4.0], (1, 2)),
        ("tokens", [[1.0, 0.0], [0.0, 1.0], [3.0, 1.0]], (0, 1, 0)),
    ],
)
def test_decide(kind, row, answer):
    assert evaluate.decide(kind, [np.array(row)]) == [answer]


def test_best_span_never_ends_before_it_starts_nor_leaves_what_is_allowed():
    start, end = np.array([0.0, 0.0, 9.0, 1.0]), np.array([9.0, 0.0, 0.0, 1.0])
    assert evaluate.best_span(start, end) == (2, 3)
    allowed = np.array([False, True, False, True])
    assert evaluate.best_span(start, end, allowed) == (3, 3)


def test_scores_worked_by_hand():
    given, right = [1, 1, 0, 1], [1, 0, 0, 1]
    assert evaluate.score("accuracy", given, right) == {"accuracy": 0.75}
    assert evaluate.score("f1", given, right) == {"f1": pytest.approx(0.8)}  # precision 2/3, recall 1
    assert evaluate.score("accuracy_f1", given, right) == {"accuracy": 0.75, "f1": pytest.approx(0.8)}
    # tp 2, tn 1, fp 1, fn 0: (2 - 0) / sqrt(3 * 2 * 2 * 1)
    assert evaluate.score("matthews", given, right) == {"matthews": pytest.approx(2 / 12**0.5)}
    assert evaluate.score("macro_f1", given, right)["macro_f1"] == pytest.approx((2 / 3 + 0.8) / 2)
    assert evaluate.score("pearson_spearman", [1.0, 2.0, 4.0], [1.0, 2.0, 3.0])["spearman"] == pytest.approx(1.0)


def test_rankings_worked_by_hand():
    labels = [[4, 0], [4, 1], [4, 0], [9, 1], [9, 0], [2, 0], [2, 1], [2, 1]]
    orders, right = evaluate.rankings([0.1, 0.5, 0.9, 2.0, -1.0, 0.0, 0.0, 0.0], labels)
    assert (orders, right) == ([(2, 1, 0), (0, 1), (0, 1, 2)], [(1,), (0,), (1, 2)])
    scores = evaluate.score("ranking", orders, right)
    assert scores["accuracy"] == pytest.approx(1 / 3)
    assert scores["mrr"] == pytest.approx((1 / 2 + 1 + 1 / 2) / 3)
    assert scores["pair_accuracy"] == pytest.approx((1 + 2 + 0) / 8)
    assert evaluate.headline("ranking", scores) == scores["accuracy"]
    assert evaluate.correct("ranking", orders, right).tolist() == [0, 1, 0]


def test_headline_is_the_mean_as_in_glue_and_f1_for_squad():
    assert evaluate.headline("accuracy_f1", {"accuracy": 0.7, "f1": 0.9}) == pytest.approx(0.8)
    assert evaluate.headline("squad_f1", {"exact_match": 0.1, "f1": 0.9}) == 0.9


def test_squad_normalisation_is_the_official_one():
    scores = evaluate.score("squad_f1", ["The  Cat, sat!", "blue house", ""], [["a cat sat"], ["red", "house"], ["x"]])
    assert scores["exact_match"] == pytest.approx(1 / 3)
    assert scores["f1"] == pytest.approx((1 + 2 / 3 + 0) / 3)


@pytest.mark.parametrize("metric", ["matthews", "pearson_spearman", "macro_f1", "f1"])
def test_constant_answers_score_without_a_warning(metric):
    scores = evaluate.score(metric, [0, 0, 0], [0, 0, 0])
    assert all(0 <= value <= 1 for value in scores.values())


def test_correct_means_to_the_headline():
    assert evaluate.correct("accuracy", [1, 0, 2], [1, 1, 2]).tolist() == [1, 0, 1]
    assert evaluate.correct("matthews", [1, 0], [1, 1]) is None


def test_recalls_match_scikit_learn():
    right, given = [0, 0, 1, 1, 1, 2], [0, 1, 1, 1, 0, 2]
    found = evaluate.recalls(given, right, 4)
    np.testing.assert_allclose(found[:3], sk.recall_score(right, given, average=None))
    assert np.isnan(found[3])


def test_answer_texts_are_cut_out_of_the_context(word_tokenizer):
    logits = np.full(2 * 8, -5.0)  # [CLS] who [SEP] the red fox ran [SEP]
    logits[4] = logits[8 + 5] = 5.0
    rows = [logits, np.zeros(3)]
    found = evaluate.answer_texts(word_tokenizer, ["who"] * 2, ["the red fox ran"] * 2, rows, max_length=16)
    assert found == ["red fox", ""]


@pytest.fixture
def word_tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocab = {
        word: place
        for place, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "who", "the", "red", "fox", "ran"])
    }
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def test_written_text_against_all_references_of_its_row():
    right = [["the cat sat on the mat", "a cat sat there today"], ["no dogs were seen here at all"]]
    perfect = evaluate.score("bleu", ["a cat sat there today", "no dogs were seen here at all"], right)
    assert perfect == {name: pytest.approx(1.0) for name in ("bleu", "rouge_1", "rouge_2", "rouge_l")}
    # Of "the cat sat on the dog" 5 of 6 words, 4 of 5 pairs, 3 of 4 triples and 2 of 3 quadruples are in the reference.
    half = evaluate.score("rouge_l", ["the cat sat on the dog"], [right[0][:1]])
    assert half["bleu"] == pytest.approx((5 / 6 * 4 / 5 * 3 / 4 * 2 / 3) ** 0.25, abs=1e-6)
    assert half["rouge_1"] == half["rouge_l"] == pytest.approx(5 / 6)
    assert half["rouge_2"] == pytest.approx(4 / 5)
    assert evaluate.headline("bleu", half) == half["bleu"]
    assert evaluate.headline("rouge_l", half) == half["rouge_l"]
    assert evaluate.score("bleu", [""], [["a cat"]])["bleu"] == 0.0


def test_scoring_text_says_what_to_install(monkeypatch):
    monkeypatch.setattr(evaluate.importlib.util, "find_spec", lambda name: None if name == "rouge_score" else object())
    with pytest.raises(MissingExtraError, match=r"needs the package 'rouge-score'.*edgedistill\[generation\]"):
        evaluate.refuse_without_scorers()
