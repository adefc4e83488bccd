"""Rows that are too many for memory: written once to a file that is mapped into it, and found there again.

The files lie beside the tokenised rows, below the cache folder of `datasets` (`HF_DATASETS_CACHE`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from edgedistill import files
from edgedistill.data.tokenise import cache_errors, cache_folder
from edgedistill.progress import progress

if TYPE_CHECKING:
    from datasets import Dataset

IN_MEMORY_BYTES = 2**28
"""What is larger stays on the disk."""
_BATCH = 1000

Batch = tuple[tuple[str, ...], tuple[str, ...]]


def in_batches(named: Iterable[tuple[str, str]]) -> Iterator[Batch]:
    """Ids and texts, some at a time."""
    rows = iter(named)
    while some := list(islice(rows, _BATCH)):
        ids, texts = zip(*some, strict=True)
        yield ids, texts


def spooled(name: str, batches: Iterable[Batch]) -> Dataset:
    """Unlabelled rows in a file.

    Args:
        name: of the file: a hash of all that decides what is in it.
        batches: ids and texts; only asked for where the file is not there. A kill while it is written leaves nothing.

    Raises:
        StorageError: it cannot be written.
    """
    import pyarrow as pa
    from datasets import Dataset

    types = {"row_id": pa.string(), "text": pa.string(), "text_pair": pa.string(), "label": pa.int64()}
    schema, folder = pa.schema(types), cache_folder()
    path = folder / f"{name}.arrow"
    if not path.is_file():
        with (
            cache_errors(folder),
            files.atomic_file(path) as part,
            pa.ipc.new_stream(str(part), schema) as writer,
            progress("reading text", None) as bar,
        ):
            for ids, texts in batches:
                nothing = [None] * len(ids)
                columns = {"row_id": ids, "text": texts, "text_pair": nothing, "label": nothing}
                writer.write_batch(pa.RecordBatch.from_pydict(columns, schema))
                bar.advance(len(ids))
    return Dataset.from_file(str(path))
