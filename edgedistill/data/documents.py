"""Raw text as documents: paragraphs on lines, blank lines between documents. For whatever asks what follows a text.

Rows come with two columns more than a corpus has: `document`, and `paragraph`, numbers that rise by 1 from a paragraph
to the one after it and by more where a document ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedistill.data.corpus import held_out_count, refuse_no_text_file, unlabelled
from edgedistill.data.ragged import Indices
from edgedistill.data.readers import text_lines
from edgedistill.data.streams import Place, files_of
from edgedistill.data.table import values
from edgedistill.errors import ConfigError, DataError

if TYPE_CHECKING:
    from datasets import Dataset

_SECTION = 16
"""Paragraphs that stay together when rows are put aside or left out, so that most keep the one that follows them."""
_LEAST = 2
"""Documents that every part needs: a text that does not follow comes from another one."""


def load_documents(path: Place, limit: int | None = None) -> Dataset:
    """Read a corpus and which document each paragraph is of.

    Args:
        path: UTF-8 text, gzipped or not.
        limit: most paragraphs to give: always the same random sections of documents, in the file's order.

    Returns:
        The columns of `load_corpus`, `document` and `paragraph`.

    Raises:
        DataError: no such file, not UTF-8 (naming the line), or no text in it.
        ConfigError: all of it is one document.
    """
    path = refuse_no_text_file(path)
    texts: list[str] = []
    documents: list[int] = []
    ends_document = False
    for _, line in (numbered for file in files_of(path) for numbered in text_lines(file)):
        text = line.strip()
        if text:
            documents.append((documents[-1] if documents else 0) + ends_document)
            texts.append(text)
        ends_document = bool(texts) and not text
    if not texts:
        raise DataError(f"'{path}' holds no text. Give a text file with a paragraph on every line.")
    if documents[-1] == 0:
        raise ConfigError(
            f"next_sentence: all {len(texts)} paragraphs of '{path}' are one document, so that no text can come from "
            "another one. Put a blank line between documents, or set the weight to 0."
        )
    whole = unlabelled([f"corpus-{n}" for n in range(len(texts))], texts)
    paragraphs = [number + document for number, document in enumerate(documents)]
    whole = whole.add_column("document", documents).add_column("paragraph", paragraphs)
    if limit is None or limit >= len(whole):
        return whole
    sections = _sections(whole)
    order = np.concatenate([sections[n] for n in np.random.default_rng(0).permutation(len(sections))])
    return whole.select(np.sort(order[:limit]))


def held_out_sections(corpus: Dataset, seed: int) -> tuple[Dataset, Dataset, Dataset]:
    """Put text aside to choose by and to judge by: two seeded fiftieths, at most 1000 paragraphs or little more each.

    Sections of up to 16 paragraphs stay together, and each part has text of two documents or more.

    Args:
        corpus: what `load_documents` gave; not yet in pieces, so that no paragraph is on two sides.
        seed: of the run.

    Returns:
        train, dev, judged; no paragraph is in two of them.

    Raises:
        ConfigError: too little text for that.
    """
    sections, documents = _sections(corpus), np.asarray(values(corpus, "document"))
    coming = [sections[n] for n in np.random.default_rng([seed, 0x4E1E]).permutation(len(sections))]
    count, parts = held_out_count(len(corpus)), []
    for _ in range(2):
        part = np.empty(0, dtype=np.int64)
        while coming and (len(part) < count or len(np.unique(documents[part])) < _LEAST):
            part = np.concatenate([part, coming.pop()])
        parts.append(part)
    dev, judged = parts
    train = np.concatenate([np.empty(0, dtype=np.int64), *coming])
    if min(len(np.unique(documents[part])) for part in (train, dev, judged)) < _LEAST:
        raise ConfigError(
            f"next_sentence: the corpus has {len(corpus)} paragraphs in {len(np.unique(documents))} documents, too few "
            "to learn from some, choose by others and judge by others. Give more text with blank lines between "
            "documents, or set the weight to 0."
        )
    return corpus.select(np.sort(train)), corpus.select(np.sort(dev)), corpus.select(np.sort(judged))


def _sections(corpus: Dataset) -> list[Indices]:
    """Row numbers of at most `_SECTION` paragraphs of one document each."""
    documents = np.asarray(values(corpus, "document"))
    begins = np.flatnonzero(np.diff(documents, prepend=-1))
    each = np.split(np.arange(len(documents)), begins[1:])
    return [document[at : at + _SECTION] for document in each for at in range(0, len(document), _SECTION)]
