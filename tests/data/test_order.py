import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgedistill.data.order import Tokens, in_random_order


@pytest.mark.parametrize(("count", "size"), [(1, 4), (3, 4), (8, 4), (9, 4), (1003, 8)])
def test_rows_that_are_alone_come_in_the_order_of_questions_of_one_candidate(count, size):
    lengths = np.random.default_rng(count).integers(3, 60, count)
    alone, asked = (list(in_random_order(lengths, 3, 2, size, bounds)) for bounds in (None, np.arange(count + 1)))
    assert [rows.tolist() for rows in alone] == [rows.tolist() for rows in asked]


def lengths_of(count, seed=0, longest=60):
    return np.random.default_rng(seed).integers(3, longest, count)


def places(lengths, batches):
    return [len(rows) * int(lengths[rows].max()) for rows in batches]


@settings(max_examples=50, deadline=None)
@given(
    count=st.integers(1, 400), most=st.integers(1, 900), seed=st.integers(0, 9), longest=st.integers(4, 120),
    of_questions=st.booleans(),
)  # fmt: skip
def test_batches_by_tokens_hold_every_row_once_and_no_more_tokens_than_asked(count, most, seed, longest, of_questions):
    lengths = lengths_of(count, seed, longest)
    ends = np.cumsum(np.random.default_rng(seed).integers(1, 5, count))
    bounds = np.array([0, *ends[ends < count], count]) if of_questions else None
    found = list(in_random_order(lengths, seed, 1, Tokens(most), bounds))
    assert sorted(np.concatenate(found).tolist()) == list(range(count))
    for rows, size in zip(found, places(lengths, found), strict=True):
        is_one_unit = len(rows) == 1 if bounds is None else np.isin(rows[1:], bounds).sum() == 0
        assert size <= most or is_one_unit
    assert [rows.tolist() for rows in in_random_order(lengths, seed, 1, Tokens(most), bounds)] == [
        rows.tolist() for rows in found
    ]


def test_batches_by_tokens_are_full_and_hardly_padded():
    """32 rows of such lengths are between 300 and 1,900 tokens; batches by tokens differ by a row or two."""
    lengths = lengths_of(20_000)
    sizes = places(lengths, in_random_order(lengths, 0, 0, Tokens(1024)))
    assert np.median(sizes) > 0.95 * 1024
    assert sum(size < 0.9 * 1024 for size in sizes) <= 1 + 0.02 * len(sizes)
    assert lengths.sum() / sum(sizes) > 0.97
    by_rows = places(lengths, in_random_order(lengths, 0, 0, 32))
    assert max(by_rows) > 5 * min(by_rows)


def test_batches_by_tokens_come_in_an_order_of_seed_and_epoch():
    lengths = lengths_of(500)
    orders = {
        tuple(np.concatenate(list(in_random_order(lengths, seed, epoch, Tokens(256)))).tolist())
        for seed in (0, 1) for epoch in (0, 1)
    }  # fmt: skip
    assert len(orders) == 4
    longest = [lengths[rows].max() for rows in in_random_order(lengths, 0, 0, Tokens(256))]
    assert longest != sorted(longest), "batches are shuffled"
