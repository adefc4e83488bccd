"""How well a model writes: its texts beside those that would be right, and the words it would go on with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgedistill.data.batches import Batch, Encoded
from edgedistill.data.conditional import Blanks, covered, target_of
from edgedistill.data.tasks import IGNORED
from edgedistill.evaluate import batches_of, score
from edgedistill.models.answers import answer
from edgedistill.models.outputs import Want
from edgedistill.models.seq2seq import next_words, write
from edgedistill.progress import progress
from edgedistill.training.teachers import averaged

if TYPE_CHECKING:
    from edgedistill.data.rows import Rows
    from edgedistill.data.task_data import TaskData

_BATCH = 32


def guesses(model: nn.Module) -> Callable[[Encoded, Tensor], Tensor]:
    """A masked-LM as a function of tokens and of which are hidden, in evaluation mode and on its device."""
    device = next(model.parameters()).device
    model.eval()

    def guess(shown: Encoded, is_hidden: Tensor) -> Tensor:
        logits = answer(model, shown.to(device), Want(words=is_hidden.to(device))).logits
        assert logits is not None
        return logits

    return guess


def guesses_together(models: Sequence[nn.Module]) -> Callable[[Encoded, Tensor], Tensor]:
    """Masked-LMs of one vocabulary as one, by the average of their probabilities; one alone keeps its logits."""
    each = [guesses(model) for model in models]

    def guess(shown: Encoded, is_hidden: Tensor) -> Tensor:
        return averaged(torch.stack([one(shown, is_hidden) for one in each]), "probabilities")

    return each[0] if len(each) == 1 else guess


def conditional_accuracy(model: nn.Module, data: TaskData) -> float:
    """Share of the development targets' words that a masked-LM guesses from the source and all but every 7th word."""
    guess, blanks = guesses(model), Blanks.of(data.tokenizer)
    right, count = 0, 0
    with torch.no_grad():
        for batch in _batches(data.dev):
            words = target_of(batch)[target_of(batch).ne(IGNORED)]
            for shown, is_hidden, numbers in covered(batch, blanks):
                right += int(guess(shown, is_hidden).argmax(dim=-1).cpu().eq(words[numbers]).sum())
            count += len(words)
    return right / max(count, 1)


def next_word_scores(model: nn.Module, rows: Rows) -> dict[str, float]:
    """How well a model goes on from the right words before: `accuracy`, and `loss` in nats per word."""
    device = next(model.parameters()).device
    model.eval()
    right, nats, count = 0, 0.0, 0
    with torch.no_grad():
        for batch in _batches(rows):
            words = target_of(batch)[target_of(batch).ne(IGNORED)]
            here = batch.to(device)
            logits = next_words(model, here.student, target_of(here)).cpu()
            right += int(logits.argmax(dim=-1).eq(words).sum())
            nats += float(F.cross_entropy(logits, words, reduction="sum"))
            count += len(words)
    return {"accuracy": right / max(count, 1), "loss": nats / max(count, 1)}


def written_texts(model: nn.Module, data: TaskData, beams: int | None = None) -> list[str]:
    """What a model writes to the judged rows.

    Args:
        model: an encoder-decoder.
        data: of the task.
        beams: instead of the model's own number; 1 is greedy.
    """
    device = next(model.parameters()).device
    model.eval()
    found: dict[int, str] = {}
    with progress("writing", len(data.judged)) as bar:
        for places in batches_of(data.judged.lengths.tolist(), _BATCH, is_mixed=True):
            rows = write(model, data.judged.batch(np.array(places)).student.to(device), beams)
            found |= dict(zip(places, data.tokenizer.batch_decode(rows, skip_special_tokens=True), strict=True))
            bar.advance(len(places))
    return [found[place] for place in range(len(data.judged))]


def text_scores(texts: list[str], data: TaskData) -> dict[str, float]:
    """BLEU and ROUGE of texts written to the judged rows, against all references of each.

    References are compared in the letters the tokenizer can write: without capitals where it lowers them.
    """
    normal = data.tokenizer.backend_tokenizer.normalizer
    references = data.judged.labels
    assert references is not None
    right = [[text if normal is None else normal.normalize_str(text) for text in row] for row in references]
    return score(data.task.metric, texts, right)


def _batches(rows: Rows) -> list[Batch]:
    places = batches_of(rows.lengths.tolist(), _BATCH, is_mixed=True)
    return [rows.batch(np.array(group)) for group in places]
