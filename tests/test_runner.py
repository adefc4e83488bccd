"""The buckets driver: padding up, cutting back, refusing what is too long."""

import numpy as np
import pytest

from edgedistill.errors import DataError
from edgedistill.runner import answer_in_buckets, is_per_token


def recording(length, seen):
    """A graph of fixed length: the sum of its real ids, and each of its ids as a token output."""

    def call(inputs):
        assert {value.shape for value in inputs.values()} == {(1, length)}
        seen.append(length)
        ids = inputs["input_ids"] * inputs["attention_mask"]
        return {"logits": ids.sum(1, keepdims=True).astype(np.float32), "last_hidden_state": ids[:, :, None] * 1.0}

    return call


def batch(*sizes, width):
    mask = (np.arange(width)[None, :] < np.array(sizes)[:, None]).astype(np.int64)
    return {"input_ids": mask * (np.arange(width) + 1), "attention_mask": mask}


def test_each_row_runs_on_the_shortest_graph_that_holds_it():
    seen = []
    graphs = {8: recording(8, seen), 4: recording(4, seen)}
    answers = answer_in_buckets(graphs, batch(3, 4, 5, 8, width=10))
    assert seen == [4, 4, 8, 8]
    np.testing.assert_array_equal(answers["logits"][:, 0], [6, 10, 15, 36])


def test_per_token_outputs_are_as_long_as_the_batch():
    answers = answer_in_buckets({8: recording(8, [])}, batch(2, 5, width=6))
    np.testing.assert_array_equal(answers["last_hidden_state"][:, :, 0], [[1, 2, 0, 0, 0, 0], [1, 2, 3, 4, 5, 0]])


def test_too_long_a_text_is_refused_with_both_lengths():
    with pytest.raises(DataError, match="9 tokens; the model takes 8"):
        answer_in_buckets({8: recording(8, [])}, batch(9, width=9))


def test_a_row_of_padding_runs_too():
    assert answer_in_buckets({4: recording(4, [])}, batch(0, width=4))["logits"][0, 0] == 0


def test_two_classes_at_length_two_are_no_tokens():
    assert not is_per_token("logits", np.zeros((1, 2)))
    assert is_per_token("start_logits", np.zeros((1, 2)))
    assert is_per_token("logits", np.zeros((1, 2, 3)))
