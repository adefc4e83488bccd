"""Which texts a quantizer sees."""

from collections import Counter

import numpy as np

from edgedistill.data import assistant
from edgedistill.data.encoding import Encoding
from edgedistill.data.probes import PAIRS, PLAIN
from edgedistill.quant.calibration import Calibration, built_in, stratified


def test_rare_classes_have_as_many_rows_as_common_ones():
    groups = ["rare"] * 3 + ["common"] * 1000 + ["other"] * 50
    chosen = stratified(groups, 23, seed=0)
    assert Counter(groups[row] for row in chosen) == {"rare": 3, "common": 10, "other": 10}
    assert chosen == sorted(set(chosen))


def test_the_same_seed_chooses_the_same_rows():
    groups = [number % 3 for number in range(300)]
    assert stratified(groups, 30, seed=1) == stratified(groups, 30, seed=1)
    assert stratified(groups, 30, seed=1) != stratified(groups, 30, seed=2)


def test_never_more_rows_than_there_are():
    assert stratified(["a", "b", "a"], 5, 0) == [0, 1, 2]


def test_built_in_texts_judge_nothing():
    texts = {text for text, pair in built_in(64, 0, in_pairs=False) if pair is None}
    assert len(texts) == 64
    judges = {str(row["text"]) for split in ("validation", "test") for row in assistant.generate(split)}
    assert not texts & (judges | set(PLAIN) | {text for pair in PAIRS for text in pair})


def test_pairs_for_models_that_read_pairs():
    pairs = built_in(16, 0, in_pairs=True)
    assert len(pairs) == 16
    assert all(pair and pair != text for text, pair in pairs)


def test_inputs_are_one_text_each_without_padding_unless_the_graph_has_a_length():
    encodings = (Encoding((2, 5), (0, 0)), Encoding((2, 5, 6), (0, 0, 0)))
    calibration = Calibration((("a", None), ("b c", None)), encodings, "")
    assert [inputs["input_ids"].shape for inputs in calibration.inputs()] == [(1, 2), (1, 3)]
    padded = list(calibration.inputs(8))
    assert padded[0]["input_ids"].shape == (1, 8)
    np.testing.assert_array_equal(padded[0]["attention_mask"][0], [1, 1, 0, 0, 0, 0, 0, 0])
