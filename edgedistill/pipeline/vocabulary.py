"""A student that reads fewer words than its teacher: what it keeps of them, and what that does to the text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgedistill.errors import ConfigError
from edgedistill.words import EmbeddingReport, Reading, VocabularyReport

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from transformers import PreTrainedModel

    from edgedistill.data.rows import Rows
    from edgedistill.data.task_data import TaskData
    from edgedistill.data.vocabulary import VocabularyConfig
    from edgedistill.models.loading import Checkpoint
    from edgedistill.recipes import Ingredients, RecipeConfig
    from edgedistill.training.teachers import TeacherProvider

Load = Callable[..., "TaskData"]
"""The task's rows in a tokenizer's tokens, and in `teacher_tokenizer`'s."""
_BATCH = 1024


@dataclass(frozen=True)
class Uncut:
    """What the vocabulary was cut from.

    Attributes:
        data: the same rows in the teacher's own tokens.
        teacher: reads them.
        kept: (N,) the teacher's ids of the student's entries.
    """

    data: TaskData
    teacher: TeacherProvider
    kept: NDArray[np.int64]


def refuse_no_cut(cfg: RecipeConfig, teachers: Sequence[Checkpoint], start: Checkpoint | None) -> None:
    """Make sure that a vocabulary can be cut here, before anything is read.

    Raises:
        ConfigError: there is nothing to cut it from, or the student has one already.
    """
    from edgedistill.data.vocabulary import refuse_uncuttable

    if getattr(cfg, "vocabulary", None) is None:
        return
    if start is not None:
        raise ConfigError(
            f"vocabulary: the student to start from, '{start.path}', brings its own {len(start.tokenizer):,} entries. "
            "Leave vocabulary out; a vocabulary that was cut before stays cut, and its teacher reads it."
        )
    refuse_uncuttable(teachers[0].tokenizer)


def cut_tokenizer(data: TaskData, how: VocabularyConfig) -> Any:
    """The tokenizer that keeps what the training rows and the corpus, and further text, need.

    Args:
        data: in the teacher's tokens.
        how: much is kept.

    Raises:
        ConfigError: a size that cannot be.
        DataError: further text that cannot be read.
    """
    from edgedistill.data.corpus import in_pieces, load_corpus
    from edgedistill.data.rows import Rows
    from edgedistill.data.vocabulary import chosen, counted, cut

    tokenizer = data.tokenizer
    texts = [data.train, *([data.corpus] if data.corpus is not None else [])]
    if how.text is not None:
        more = in_pieces(load_corpus(how.text), tokenizer, data.max_length)
        texts.append(Rows(more, None, tokenizer, max_length=data.max_length))
    return cut(tokenizer, chosen(tokenizer, counted(texts, len(tokenizer)), how))


def teachers_read(teachers: Sequence[Checkpoint], tokenizer: Any) -> list[Checkpoint]:
    """The teachers as they answer to the student's tokens; themselves where they always did, or never can."""
    from edgedistill.models.vocabulary import read_by

    return [read_by(teacher, tokenizer) for teacher in teachers]


def uncut_of(teachers: Sequence[Checkpoint], data: TaskData, tokenizer: Any) -> Uncut:
    """What a vocabulary was cut from.

    Args:
        teachers: as they are.
        data: in their tokens.
        tokenizer: the student's, cut from theirs.
    """
    from edgedistill.data.cache_card import Kept
    from edgedistill.data.vocabulary import entries_of
    from edgedistill.pipeline.teaching import provider_of

    kept = entries_of(tokenizer, data.tokenizer)
    assert kept is not None
    return Uncut(data, provider_of(teachers, data, None, lambda facts: Kept()), kept)


def vocabulary_report(data: TaskData, uncut: Uncut) -> VocabularyReport:
    """What the cut does to the training rows and to the judged ones, which it has not seen."""
    return VocabularyReport(
        entries=len(uncut.kept),
        teacher_entries=len(uncut.data.tokenizer),
        train=_reading(data.train, data, uncut.data.train, uncut),
        judged=_reading(data.judged, data, uncut.data.judged, uncut),
    )


def _reading(own: Rows, data: TaskData, theirs: Rows, uncut: Uncut) -> Reading:
    from edgedistill.data.vocabulary import counted, share_kept

    counts = [counted([rows], len(read.tokenizer)) for rows, read in ((own, data), (theirs, uncut.data))]
    unknown = [
        float(each[read.tokenizer.unk_token_id] / max(each.sum(), 1))
        for each, read in zip(counts, (data, uncut.data), strict=True)
    ]
    return Reading(
        rows=len(own),
        coverage=share_kept(counts[1], uncut.kept, uncut.data.tokenizer),
        unknown=unknown[0],
        teacher_unknown=unknown[1],
        growth=float(counts[0].sum() / len(own) * len(theirs) / max(counts[1].sum(), 1)),
        changed=_changed(own, theirs, uncut),
    )


def _changed(own: Rows, theirs: Rows, uncut: Uncut) -> float:
    """Share of texts that are split otherwise."""
    found: dict[str, list[int]] = {}
    for batch in theirs.all(_BATCH):
        found |= dict(zip(batch.row_ids, _tokens(batch.student), strict=True))
    changed = 0
    for batch in own.all(_BATCH):
        renumbered = [uncut.kept[ids].tolist() for ids in _tokens(batch.student)]
        changed += sum(ids != found.get(row) for row, ids in zip(batch.row_ids, renumbered, strict=True))
    return changed / len(own)


def _tokens(encoded: Any) -> list[list[int]]:
    lengths = encoded.attention_mask.sum(dim=1).tolist()
    return [ids[:length] for ids, length in zip(encoded.input_ids.tolist(), lengths, strict=True)]


def embedding_report(student: PreTrainedModel, given: Ingredients) -> EmbeddingReport | None:
    """What a narrower table of words keeps of the teacher's, before it learns.

    Args:
        student: just built from the teacher.
        given: what it was built from.

    Returns:
        None where its table is no narrower, or stands for nothing in the teacher.
    """
    from edgedistill.data.vocabulary import counted
    from edgedistill.models.factors import embedding_errors, is_factorised

    if not is_factorised(student):
        return None
    table = given.load_teacher().get_input_embeddings().weight
    errors = embedding_errors(student, table, counted([given.data.train], len(table)))
    if errors is None:
        return None
    size = student.get_input_embeddings().weight.shape[1]
    return EmbeddingReport(
        size=size, teacher_size=table.shape[1], error_entries=errors["entries"], error_tokens=errors["tokens"]
    )
