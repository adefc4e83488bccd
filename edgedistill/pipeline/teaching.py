"""Who is learnt from: one checkpoint or several that answer as one, run on every batch or asked once and looked up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgedistill.errors import ConfigError
from edgedistill.progress import progress, say

if TYPE_CHECKING:
    from edgedistill.data.batches import Batch
    from edgedistill.data.logit_cache import Kept
    from edgedistill.data.rows import Rows
    from edgedistill.data.task_data import TaskData
    from edgedistill.models.loading import Checkpoint
    from edgedistill.training.teachers import CachedTeacher, TeacherFacts, TeacherProvider

_BATCH = 64


def provider_of(
    checkpoints: Sequence[Checkpoint], data: TaskData, cache: Path | None, keep: Callable[[TeacherFacts], Kept]
) -> TeacherProvider:
    """Put the teachers behind one interface.

    Args:
        checkpoints: one, or the members of an ensemble, which must share a tokenizer and their labels.
        data: of the task.
        cache: folder of stored answers; nothing is asked or written here.
        keep: says what the recipe wants kept there.

    Raises:
        CheckpointError: members of an ensemble that do not have the same labels in the same order.
        ConfigError: members with different tokenizers, a cache for a task whose answers are not one row of logits, or
            settings that do not fit the teacher.
        TrainingError: the cache holds something else.
    """
    from edgedistill.data.logit_cache import Fingerprint, Kept, LogitCache
    from edgedistill.data.tokenise import behaviour, same_tokens
    from edgedistill.training.teachers import CachedTeacher, EnsembleTeacher, OnlineTeacher

    first = checkpoints[0]
    for other in checkpoints[1:]:
        if not same_tokens(first.tokenizer, other.tokenizer):
            raise ConfigError(
                f"'{other.path}' splits text into other tokens than '{first.path}'. Teachers of one ensemble need the "
                "same tokenizer."
            )
    online = [OnlineTeacher(checkpoint) for checkpoint in checkpoints]
    provider: TeacherProvider = online[0]
    if len(online) > 1:
        provider = EnsembleTeacher(online, "logits" if data.task.kind == "regression" else "probabilities")
    if cache is None:
        return provider
    if data.task.kind in {"span", "tokens", "mlm"}:
        raise ConfigError(
            f"--teacher-cache stores one row of logits a text; '{data.task.name}' is a task of kind "
            f"'{data.task.kind}'. Leave it out."
        )
    texts = "+".join(rows.sha256 for rows in _splits(data))
    facts = provider.facts
    kept = keep(facts) if facts.shows_cls else Kept()
    stored = Fingerprint(facts.sha256, behaviour(first.tokenizer), data.max_length, texts, kept)
    return CachedTeacher(provider, LogitCache(cache, stored))


def cache_size(teacher: CachedTeacher, data: TaskData) -> str:
    """What the cache will hold and how large it will be, in words."""
    facts, kept = teacher.facts, teacher.cache.kept
    row = kept.row_bytes(max(len(facts.labels), 1), facts.hidden_size)
    rows = {row_id for rows in _splits(data) for row_id in rows.row_ids}
    absent = sum(row_id not in teacher.cache for row_id in rows)
    return (
        f"'{teacher.cache.folder}', {kept}, {row:,} bytes a row, {len(rows) * row / 1e6:.1f} MB for {len(rows):,} "
        f"rows; {absent:,} of them are still to be asked about"
    )


def fill(teacher: CachedTeacher, data: TaskData) -> None:
    """Ask the teacher about every row that is trained on or judged, and store its answers.

    Only rows of one length share a batch, so that an answer is about its text alone.

    Raises:
        StorageError: the disk is full; what was stored before stays.
        TrainingError: what shall be kept cannot be, as float16 say.
    """
    import numpy as np

    from edgedistill.evaluate import batches_of
    from edgedistill.training.judging import token_counts
    from edgedistill.training.loop import accelerator

    say(f"the teacher's cache: {cache_size(teacher, data)}")
    with (
        accelerator().main_process_first(),
        progress("asking the teacher", sum(map(len, _splits(data)))) as bar,
    ):

        def batches() -> Iterator[Batch]:
            for rows in _splits(data):
                for places in batches_of(token_counts(rows), _BATCH):
                    yield rows.batch(np.array(places)).to(accelerator().device)
                    bar.advance(len(places))

        teacher.fill(batches())


def _splits(data: TaskData) -> list[Rows]:
    return [data.train, data.judged, *([data.corpus] if data.corpus is not None else [])]
