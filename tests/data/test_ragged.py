import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.data.ragged import Ragged

LISTS = st.lists(st.lists(st.integers(-100, 2**31 - 1), max_size=5), min_size=1, max_size=8)


@given(LISTS, st.data())
def test_behaves_as_the_lists_it_holds(lists, data):
    ragged = Ragged.from_arrow(
        pa.chunked_array([pa.array(lists[:2], pa.list_(pa.int32())), pa.array(lists[2:], pa.list_(pa.int32()))])
    )
    rows = np.array(data.draw(st.lists(st.integers(0, len(lists) - 1), min_size=1)))
    assert len(ragged) == len(lists)
    assert ragged.lists() == lists
    assert ragged.lengths.tolist() == [len(values) for values in lists]
    assert ragged.take(rows).lists() == [lists[row] for row in rows]
    width = max(len(lists[row]) for row in rows)
    wanted = [lists[row] + [7] * (width - len(lists[row])) for row in rows]
    assert ragged.padded(rows, width, 7).tolist() == wanted


def test_four_bytes_a_token():
    ragged = Ragged.from_arrow(pa.chunked_array([pa.array([[1, 2], [3]], pa.list_(pa.int32()))]))
    assert ragged.values.dtype == np.int32
    assert ragged.padded(np.array([0]), 2, 0).dtype == np.int64
