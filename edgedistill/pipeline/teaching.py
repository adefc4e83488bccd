"""Who is learnt from: one checkpoint or several that answer as one, run on every batch or asked once and looked up."""

from __future__ import annotations

import hashlib
import json
import random
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedistill import files
from edgedistill.data.cache_card import Fingerprint, Kept, Precision, home
from edgedistill.errors import ConfigError
from edgedistill.progress import progress, say

if TYPE_CHECKING:
    from edgedistill.data.batches import Batch
    from edgedistill.data.rows import Rows
    from edgedistill.data.task_data import TaskData
    from edgedistill.models.loading import Checkpoint
    from edgedistill.recipes import RecipeConfig
    from edgedistill.training.cache_check import Compared
    from edgedistill.training.teachers import CachedTeacher, TeacherFacts, TeacherProvider

AUTO = "auto"
PROBED = 8
"""Rows that are asked about again before a cache is used."""
_BATCH = 64
_SORTED = 65536
"""Rows that are put into batches of one length together."""


@dataclass(frozen=True)
class Storage:
    """Where a teacher's answers are kept, and how.

    Attributes:
        place: a folder; `auto`: one of its own below `cache_card.home()`.
        logits_dtype: in which precision logits are kept.
        origin: where teacher and rows come from, written down with them.
    """

    place: Path
    logits_dtype: Precision = "float32"
    origin: dict[str, Any] = field(default_factory=dict)


def provider_of(
    checkpoints: Sequence[Checkpoint],
    data: TaskData,
    storage: Storage | None,
    keep: Callable[[TeacherFacts], Kept],
    *,
    is_sharded: bool = False,
) -> TeacherProvider:
    """Put the teachers behind one interface.

    Args:
        checkpoints: one, or the members of an ensemble, which must share a tokenizer and their labels.
        data: of the task.
        storage: of their answers; none to ask them every time. Nothing is asked or written here.
        keep: says what the recipe wants kept there.
        is_sharded: whether the processes of this run share the teacher's layers out.

    Raises:
        CheckpointError: members of an ensemble that do not have the same labels in the same order.
        ConfigError: members with different tokenizers, a student of other tokens where every token has an answer, a
            cache for a task whose answers cannot be kept, or settings that do not fit the teacher.
        TrainingError: the cache holds something else.
    """
    from edgedistill.data.logit_cache import LogitCache
    from edgedistill.data.tokenise import behaviour, same_tokens
    from edgedistill.training.sharded import ShardedTeacher
    from edgedistill.training.teachers import CachedTeacher, EnsembleTeacher, OnlineTeacher, average_for

    first = checkpoints[0]
    _refuse_other_tokens(first, data)
    for other in checkpoints[1:]:
        if not same_tokens(first.tokenizer, other.tokenizer):
            raise ConfigError(
                f"'{other.path}' splits text into other tokens than '{first.path}'. Teachers of one ensemble need the "
                "same tokenizer."
            )
    online = [OnlineTeacher(checkpoint) for checkpoint in checkpoints]
    provider: TeacherProvider = online[0]
    if len(online) > 1:
        provider = EnsembleTeacher(online, average_for(data.task.kind))
    if is_sharded:
        provider = ShardedTeacher(provider, [checkpoint.model for checkpoint in checkpoints])
    if storage is None:
        return provider
    facts = provider.facts
    kept = replace(
        keep(facts) if facts.shows_cls else Kept(), logits_dtype=storage.logits_dtype, unit=_unit_of_answers(data)
    )
    texts = "+".join(rows.sha256 for rows in _splits(data))
    wanted = Fingerprint(facts.sha256, behaviour(first.tokenizer), data.max_length, texts, kept)
    folder = storage.place if storage.place != Path(AUTO) else _own_folder(first, data, wanted)
    rows = sum(map(len, _splits(data)))
    return CachedTeacher(provider, LogitCache(folder, wanted, rows, storage.origin))


def origin_of(
    teachers: Sequence[Checkpoint],
    data: TaskData,
    data_dir: Path | str | None,
    corpus: Path | str | None,
    limit: int | None,
    start: Checkpoint | None,
    cfg: RecipeConfig,
) -> dict[str, Any]:
    """What it takes to ask the same teachers about the same rows in the same tokens again."""
    vocabulary = getattr(cfg, "vocabulary", None)
    return {
        "teachers": [_whole(teacher.path) for teacher in teachers],
        "student": start and _whole(start.path),
        "vocabulary": vocabulary and vocabulary.model_dump(mode="json"),
        "task": data.task.model_dump(mode="json"),
        "data": data_dir and _whole(data_dir),
        "corpus": corpus and _whole(corpus),
        "limit": limit,
        "needs_labels": cfg.needs_labels,
        "seed": cfg.seed,
    }


def _whole(path: Path | str) -> str:
    """A path as it is read from any folder; a Hub id as it is."""
    return str(Path(path).resolve()) if Path(path).exists() else str(path)


def cache_size(teacher: CachedTeacher, data: TaskData) -> str:
    """What the cache will hold, how large it will be and how much room there is, in words."""
    folder, rows = teacher.cache.folder, sum(map(len, _splits(data)))
    row, absent = _row_bytes(teacher, data), _missing(teacher, data)
    return (
        f"'{folder}', {teacher.cache.kept}, {row:,} bytes a row, {rows * row / 1e6:.1f} MB for {rows:,} rows; "
        f"{absent:,} of them are still to be asked about; {files.free_bytes(folder) / 1e9:.1f} GB are free there"
    )


def fill(teacher: CachedTeacher, data: TaskData) -> None:
    """Ask the teacher about every row that is trained on or judged, and store its answers; then try some again.

    Only rows of one length share a batch, so that an answer is about its text alone. Every process takes its share.

    Raises:
        StorageError: the disk is or would be full; what was stored before stays.
        TrainingError: what shall be kept cannot be, as float16 say, or the stored answers are not the teacher's.
    """
    from edgedistill.training.cache_check import refuse_other_answers
    from edgedistill.training.processes import accelerator, wait_for_all
    from edgedistill.training.sharded import follow

    def wait() -> None:
        follow(teacher)  # its share of the rows may be smaller than another process's
        wait_for_all()

    say(f"the teacher's cache: {cache_size(teacher, data)}")
    absent = _missing(teacher, data)
    if absent or not teacher.cache.is_sealed:
        files.refuse_full(teacher.cache.folder, absent * _row_bytes(teacher, data))
        with progress("asking the teacher", sum(map(len, _splits(data)))) as bar:

            def batches() -> Iterator[Batch]:
                for batch in _batches(data):
                    yield batch.to(accelerator().device)
                    bar.advance(len(batch))

            teacher.fill(batches(), accelerator().process_index, accelerator().num_processes, wait)
    if accelerator().is_main_process:
        found = probe(teacher, data, PROBED, random.Random())
        refuse_other_answers(found, teacher.cache.folder)
        say(
            f"the teacher's cache: {found.rows} random rows asked about again; the largest difference is "
            f"{found.difference:.1g} of an answer's size, {found.allowed:.1g} is allowed"
        )
    wait()


def probe(teacher: CachedTeacher, data: TaskData, count: int, dice: random.Random) -> Compared:
    """Ask about some random rows again, each alone.

    Raises:
        TrainingError: a row is not stored, or its shard is damaged.
    """
    import numpy as np

    from edgedistill.training.cache_check import compare
    from edgedistill.training.processes import accelerator

    splits = _splits(data)
    ends = list(accumulate(map(len, splits)))
    chosen = dice.sample(range(ends[-1]), min(count, ends[-1]))
    places = ((split, row - ends[split] + len(splits[split])) for row in chosen for split in [bisect_right(ends, row)])
    batches = (splits[split].batch(np.array([place])).to(accelerator().device) for split, place in places)
    return compare(teacher, batches)


def _batches(data: TaskData) -> Iterator[Batch]:
    import numpy as np

    from edgedistill.evaluate import batches_of
    from edgedistill.training.judging import token_counts

    for rows in _splits(data):
        for start in range(0, len(rows), _SORTED):  # some at a time: of a large corpus not all are held
            some = range(start, min(start + _SORTED, len(rows)))
            for places in batches_of(token_counts(rows, some), _BATCH):
                yield rows.batch(start + np.array(places))


def _unit_of_answers(data: TaskData) -> Any:
    """Whether a row has one answer, or every token has.

    Raises:
        ConfigError: answers to this task are not worth keeping.
    """
    kind, name = data.task.kind, data.task.name
    if kind == "mlm":
        raise ConfigError(
            f"--teacher-cache: in '{name}' other words are hidden in every epoch, so that no answer is needed twice. "
            "Leave it out."
        )
    if kind == "generation":
        raise ConfigError(
            f"--teacher-cache: in '{name}' the teacher is trained first, then asked once, and that is kept anyway. "
            "Leave it out."
        )
    return "token" if kind in {"span", "tokens"} else "row"


def _refuse_other_tokens(teacher: Checkpoint, data: TaskData) -> None:
    """Said before anything is trained or written."""
    if data.task.kind in {"span", "tokens", "mlm"} and not data.train.shares_tokens:
        raise ConfigError(
            f"'{teacher.path}' splits text into other tokens than the student, and in '{data.task.name}' every token "
            "has an answer: they cannot be compared. Leave --student out, or give one with the teacher's tokenizer."
        )


def _own_folder(first: Checkpoint, data: TaskData, wanted: Fingerprint) -> Path:
    digest = hashlib.sha256(json.dumps(asdict(wanted), sort_keys=True).encode()).hexdigest()[:12]
    teacher = re.sub(r"[^A-Za-z0-9_.\-]+", "-", Path(first.path).name).strip("-.") or "teacher"
    return home() / f"{teacher}-{data.task.name}-{digest}"


def _row_bytes(teacher: CachedTeacher, data: TaskData) -> int:
    splits = _splits(data)
    tokens = sum(float(rows.lengths.sum()) for rows in splits) / max(sum(map(len, splits)), 1)
    classes = 2 if data.task.kind == "span" else max(len(teacher.facts.labels), 1)
    return teacher.cache.kept.row_bytes(classes, teacher.facts.hidden_size, tokens)


def _missing(teacher: CachedTeacher, data: TaskData) -> int:
    return sum(teacher.cache.missing(rows.row_ids) for rows in _splits(data))


def _splits(data: TaskData) -> list[Rows]:
    return [data.train, data.judged, *([data.corpus] if data.corpus is not None else [])]
