"""A table of words in fewer numbers a word: its principal directions, and what is lost with the others.

Reference: Eckart and Young, 1936: no other `size` directions lose less.
"""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

Weights = Tensor | NDArray[Any]
"""(V,) what each word counts, 0 or more; only their ratios matter."""


def principal_directions(table: Tensor, size: int, weights: Weights | None = None) -> Tensor:
    """The directions that keep most of a table's rows.

    Args:
        table: (V, H) float, a row for each word.
        size: E, how many directions; at most H.
        weights: (V,) what each row's squared error counts; none: all the same.

    Returns:
        (H, E), orthonormal columns, the one that keeps most first: `table @ directions` are the words' coordinates and
        `table @ directions @ directions.T` is the nearest table of rank E, by the weighted squared error.
    """
    rows = table.double()
    weighted = rows if weights is None else rows * torch.as_tensor(weights).to(rows)[:, None]
    # Eigenvectors of the (H, H) Gram matrix are the table's right singular vectors, at a fraction of the time.
    _, vectors = torch.linalg.eigh(weighted.T @ rows)
    directions: Tensor = vectors[:, -size:].flip(1).to(table.dtype)
    return directions


def relative_error(table: Tensor, rebuilt: Tensor, weights: Weights | None = None) -> float:
    """How far a table is from another: the Frobenius norm of their difference over that of the table.

    Args:
        table: (V, H).
        rebuilt: (V, H).
        weights: (V,) what each row's squared norm counts; none: all the same.

    Returns:
        0 for the same table, 1 where nothing is left.
    """
    lost, whole = ((part.double() ** 2).sum(dim=1) for part in (table - rebuilt, table))
    if weights is not None:
        counts = torch.as_tensor(weights).to(whole)
        lost, whole = lost * counts, whole * counts
    return float((lost.sum() / whole.sum()).sqrt())


def is_factorised(student: PreTrainedModel) -> bool:
    """Whether words go through a projection of their own, as MobileBERT's do."""
    return hasattr(getattr(student.base_model, "embeddings", None), "embedding_transformation")


def embedding_errors(student: PreTrainedModel, table: Tensor, counts: Weights) -> dict[str, float] | None:
    """How much of the teacher's word embeddings is lost in a student that was just built, by `relative_error`.

    Args:
        student: factorised: its table and its projection stand for the teacher's table.
        table: (V, H), the teacher's.
        counts: (V,) how often each word occurs.

    Returns:
        `entries`, every word counting the same, and `tokens`, each as often as it occurs; none where the projection
        leads elsewhere: a MobileBERT teacher's own factors are copied. PAD does not count: its row is 0.
    """
    own: Any = student.base_model.embeddings
    words, projection = own.word_embeddings, own.embedding_transformation
    if projection.out_features != table.shape[1]:
        return None
    expand = projection.weight.unflatten(1, (-1, words.embedding_dim)).sum(dim=1)  # of a trigram one third is not 0
    wanted = table.detach().index_fill(0, torch.tensor([words.padding_idx], device=table.device), 0.0)
    rebuilt = (words.weight @ expand.T).detach()
    return {"entries": relative_error(wanted, rebuilt), "tokens": relative_error(wanted, rebuilt, counts)}
