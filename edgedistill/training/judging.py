"""How good a model is on some rows: its logits row by row, its score, and how far its layers are from a teacher's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn

from edgedistill.data.batches import Batch
from edgedistill.data.entities import entities_of
from edgedistill.data.masking import Masked, vocabulary_of
from edgedistill.data.tasks import IGNORED, Kind
from edgedistill.evaluate import answer_texts, batches_of, decide, headline, rankings, score
from edgedistill.losses.attention import attention_kl
from edgedistill.losses.hidden import feature_map
from edgedistill.models.answers import answer
from edgedistill.models.outputs import Outputs, Want
from edgedistill.training.teachers import TeacherProvider
from edgedistill.training.writing import next_word_scores

if TYPE_CHECKING:
    from edgedistill.data.rows import Rows
    from edgedistill.data.task_data import TaskData

_BATCH = 64
_MASKS = 1024
_MASKED_BATCH = 16
"""Rows at a time where answers are as wide as the vocabulary."""
Ask = Callable[[Batch, Want], Outputs]
"""Anyone who answers: a student, a teacher."""
RowLogits = list[NDArray[np.float32]]
"""A flat array for every row: (C,) for texts; start then end scores (2 S,) for spans; (S C,) for tags; real tokens
only."""


def model_logits(model: nn.Module, rows: Rows, kind: Kind) -> RowLogits:
    """A model's answers to all rows, in their order."""
    return collect(asking(model), rows, kind)


def asking(model: nn.Module) -> Ask:
    """A function from a batch to the model's answer, in evaluation mode and on its device."""
    device = next(model.parameters()).device
    model.eval()
    return lambda batch, want: answer(model, batch.to(device).student, want)


def collect(ask: Ask, rows: Rows, kind: Kind) -> RowLogits:
    """Anyone's answers to all rows, in their order.

    Only rows of one length share a batch: where padding changes what a model says, its answers are still about their
    text alone.
    """
    found: dict[int, NDArray[np.float32]] = {}
    lengths = token_counts(rows)
    with torch.no_grad():
        for places in batches_of(lengths, _BATCH):
            logits = ask(rows.batch(np.array(places)), Want()).logits
            assert logits is not None
            values = logits.float().cpu().numpy()
            found |= {place: _flat(value, lengths[place][0], kind) for place, value in zip(places, values, strict=True)}
    return [found[place] for place in range(len(rows))]


def token_counts(rows: Rows, among: range | None = None) -> list[tuple[int, int]]:
    """How many tokens each row, or each of some, has as the student and as the teacher reads it."""
    found: list[tuple[int, int]] = []
    among = among or range(len(rows))
    for start in range(among.start, among.stop, _MASKS):
        batch = rows.batch(np.arange(start, min(start + _MASKS, among.stop)))
        sizes = (encoded.attention_mask.sum(dim=1).tolist() for encoded in (batch.student, batch.teacher))
        found += zip(*sizes, strict=True)
    return found


def _flat(values: NDArray[np.float32], length: int, kind: Kind) -> NDArray[np.float32]:
    if kind == "span":
        return np.ascontiguousarray(values[:length].T).ravel()
    return values[:length].ravel() if kind == "tokens" else values.ravel()


def dev_score(model: nn.Module, data: TaskData) -> float:
    """What chooses between epochs: the task's headline metric on the development rows.

    For hidden words and written text it is the share of words that are named.
    """
    if data.task.kind == "mlm":
        return masked_scores(asking(model), data.dev, data)["accuracy"]
    if data.task.kind == "generation":
        return next_word_scores(model, data.dev)["accuracy"]
    return scored(model_logits(model, data.dev, data.task.kind), data.dev, data)


def masked_scores(ask: Ask, rows: Rows, data: TaskData) -> dict[str, float]:
    """How well anyone guesses hidden words; the same words are hidden every time.

    Args:
        ask: a model with a masked-word head.
        rows: raw text.
        data: it is of.

    Returns:
        `accuracy`: share of the hidden tokens that are named; `loss`: nats per hidden token; `tokens`: hidden ones; of
        pairs also `next_sentence`: share of them that are told from a text and one of another document.
    """
    masked = Masked(rows, vocabulary_of(data.tokenizer))
    right, nats, count, told = 0, 0.0, 0, []
    with torch.no_grad():
        for places in batches_of(rows.lengths.tolist(), _MASKED_BATCH):
            batch = masked.batch(np.array(places))
            assert batch.labels is not None
            is_hidden = batch.labels.ne(IGNORED)
            found, words = ask(batch, Want(words=is_hidden)), batch.labels[is_hidden]
            assert found.logits is not None
            logits = found.logits.cpu()
            if found.next_sentence is not None and batch.next_sentence is not None:
                told += found.next_sentence.argmax(dim=-1).cpu().eq(batch.next_sentence).tolist()
            right += int(logits.argmax(dim=-1).eq(words).sum())
            nats += float(F.cross_entropy(logits, words, reduction="sum"))
            count += len(words)
    scores = {"accuracy": right / max(count, 1), "loss": nats / max(count, 1), "tokens": float(count)}
    return scores | ({"next_sentence": sum(told) / len(told)} if told else {})


def scored(logits: RowLogits, rows: Rows, data: TaskData) -> float:
    """The task's headline metric of such logits."""
    return headline(data.task.metric, all_scores(logits, rows, data))


def all_scores(logits: RowLogits, rows: Rows, data: TaskData) -> dict[str, float]:
    """Every number of the task's metric, by name."""
    given, right = decided(logits, rows, data)
    return score(data.task.metric, given, right)


def agreement(one: RowLogits, other: RowLogits, rows: Rows, data: TaskData) -> float:
    """Share of answers (of a ranking: of best candidates) that are the same; for regression the correlation."""
    first, second = (decided(logits, rows, data)[0] for logits in (one, other))
    if data.task.kind == "ranking":
        return float(np.mean([a[0] == b[0] for a, b in zip(first, second, strict=True)]))
    if data.task.kind == "regression":
        return score("pearson_spearman", first, second)["pearson"]
    return float(np.mean([a == b for a, b in zip(first, second, strict=True)]))


def decided(logits: RowLogits, rows: Rows, data: TaskData) -> tuple[Sequence[Any], Sequence[Any]]:
    """Given and right answers, side by side: one a row, one a tagged token or a sentence's entities, one a question."""
    kind, labels = data.task.kind, rows.labels
    assert labels is not None
    if kind == "span":
        copy = Tokenizer.from_str(data.tokenizer.backend_tokenizer.to_str())  # its truncation is set on the way
        contexts = [pair or "" for pair in rows.pairs]
        return answer_texts(copy, rows.texts, contexts, logits, data.max_length), labels
    if kind == "tokens":
        shaped = [flat.reshape(len(tags), -1) for flat, tags in zip(logits, labels, strict=True)]
        if data.task.metric == "entity_f1":
            found = [entities_of(a, b, data.labels) for a, b in zip(decide(kind, shaped), labels, strict=True)]
            return [one for one, _ in found], [two for _, two in found]
        answered = np.concatenate([np.asarray(tags) for tags in decide(kind, shaped)])
        right = np.concatenate([np.asarray(tags) for tags in labels])
        is_counted = right != IGNORED
        return answered[is_counted], right[is_counted]
    return rankings(decide(kind, logits), labels) if kind == "ranking" else (decide(kind, logits), labels)


def layer_errors(
    student: nn.Module, teacher: TeacherProvider, rows: Rows, follows: Sequence[int], most: int = 256
) -> dict[str, list[float]]:
    """How far each student layer is from the teacher layer it follows, over the first `most` rows.

    Args:
        student: as wide as the teacher.
        teacher: gives hidden states; attentions are compared where the heads are as many.
        rows: same tokens for both.
        follows: teacher layer (from 1) of every student layer.
        most: rows to look at.

    Returns:
        `feature_map_mse` (0 the same pattern, 2 unrelated; the embedding output first) and `attention_kl` (nats).
    """
    want, device = Want(hidden=True, attentions=True), next(student.parameters()).device
    student.eval()
    sums: dict[str, Tensor] = {}
    count = 0
    with torch.no_grad():
        for batch in rows.all(_BATCH):
            here = batch.to(device)
            for name, values in _distances(answer(student, here.student, want), teacher(here, want), here, follows):
                sums[name] = sums.get(name, torch.zeros_like(values)) + len(batch) * values
            count += len(batch)
            if count >= most:
                break
    return {name: (total / count).tolist() for name, total in sums.items()}


def _distances(s: Outputs, t: Outputs, batch: Batch, follows: Sequence[int]) -> list[tuple[str, Tensor]]:
    mask = batch.student.attention_mask
    pairs = enumerate((0, *follows))
    found = [("feature_map_mse", torch.stack([feature_map(s.hidden[a], t.hidden[b], mask) for a, b in pairs]))]
    if s.attentions[0].shape[1] == t.attentions[0].shape[1]:
        each = [attention_kl(s.attentions[a], t.attentions[b - 1], mask) for a, b in enumerate(follows)]
        found.append(("attention_kl", torch.stack(each)))
    return found
