"""What the judged rows say about a student beside its teacher, and the files that hold every answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedistill.artifacts import ReferenceRow

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from edgedistill.data.task_data import TaskData
    from edgedistill.pipeline.vocabulary import Uncut
    from edgedistill.training.judging import Ask, RowLogits


@dataclass(frozen=True)
class Judged:
    """What the judged rows say.

    Attributes:
        scores: for the card.
        own: the student's logits; none for masked words, whose answers are as wide as the vocabulary, and for text.
        theirs: the teacher's, where there is one.
        texts: what the student wrote, where it writes.
    """

    scores: dict[str, float]
    own: RowLogits | None = None
    theirs: RowLogits | None = None
    texts: list[str] | None = None


def judge(student: PreTrainedModel, data: TaskData, provider: Ask | None, uncut: Uncut | None) -> Judged:
    """Ask the student and the teacher; one that reads fewer words now as it was, where its answers are no tokens'."""
    from edgedistill.training.judging import asking, collect, masked_scores, scored

    if data.task.kind == "generation":
        return _judged_texts(student, data)
    device = student.device
    ask_teacher = None if provider is None else lambda batch, want: provider(batch.to(device), want)
    if data.task.kind == "mlm":
        asked = {"student": asking(student)} | ({} if ask_teacher is None else {"teacher": ask_teacher})
        found = {who: masked_scores(ask, data.judged, data) for who, ask in asked.items()}
        scores = {who: numbers["accuracy"] for who, numbers in found.items()}
        losses = {f"{who}_loss": numbers["loss"] for who, numbers in found.items()}
        losses |= {f"{who}_next_sentence": n["next_sentence"] for who, n in found.items() if "next_sentence" in n}
        hidden = {"hidden_tokens": found["student"]["tokens"], "rows": float(len(data.judged))}
        return Judged(scores | losses | hidden)
    own = collect(asking(student), data.judged, data.task.kind)
    theirs = None if ask_teacher is None else collect(ask_teacher, data.judged, data.task.kind)
    if uncut is None or theirs is None or data.task.kind in {"span", "tokens"}:
        return Judged(_scores(data, own, theirs), own, theirs)
    on_cut = {"teacher_on_cut_vocabulary": scored(theirs, data.judged, data)}
    whole = collect(lambda batch, want: uncut.teacher(batch.to(device), want), uncut.data.judged, data.task.kind)
    return Judged(_scores(data, own, whole) | on_cut, own, whole)


def _judged_texts(student: PreTrainedModel, data: TaskData) -> Judged:
    """Of a student that writes; its teacher guesses words and writes nothing, so that there is none beside it."""
    from edgedistill.evaluate import headline
    from edgedistill.training.writing import next_word_scores, text_scores, written_texts

    texts = written_texts(student, data)
    found, greedy = text_scores(texts, data), text_scores(written_texts(student, data, beams=1), data)
    metric = data.task.metric
    scores = {"student": headline(metric, found), "student_greedy": headline(metric, greedy)}
    words = next_word_scores(student, data.judged)
    more = {"next_word_accuracy": words["accuracy"], "next_word_loss": words["loss"]}
    return Judged(scores | found | more | {"rows": float(len(data.judged))}, texts=texts)


def _scores(data: TaskData, own: RowLogits, theirs: RowLogits | None) -> dict[str, float]:
    from edgedistill.training.judging import agreement, all_scores, scored

    found = {"student": scored(own, data.judged, data)}
    if theirs is not None:
        found["teacher"] = scored(theirs, data.judged, data)
        found["agreement"] = agreement(own, theirs, data.judged, data)
    if data.task.kind == "ranking":  # its numbers are not of one size: there is no sense in their mean
        asked = {"student": own} | ({} if theirs is None else {"teacher": theirs})
        for who, logits in asked.items():
            numbers = all_scores(logits, data.judged, data)
            found |= {f"{who}_{name}": numbers[name] for name in ("mrr", "pair_accuracy")}
    return found | {"rows": float(len(data.judged))}


def write_texts(path: Path, data: TaskData, texts: list[str]) -> None:
    """Write each judged row with what a student wrote."""
    rows = data.judged
    with path.open("w", encoding="utf-8") as file:
        for row, text, pair, right, written in zip(
            rows.row_ids, rows.texts, rows.pairs, rows.labels or [], texts, strict=True
        ):
            line = {"row_id": row, "text": text, "text_pair": pair, "references": right, "written": written}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def write_reference(path: Path, data: TaskData, own: RowLogits, theirs: RowLogits | None) -> None:
    """Write each judged row with the student's and the teacher's answers."""
    rows = data.judged
    labels = rows.labels or [None] * len(rows)
    names = data.labels if data.task.kind in {"single", "pair"} else ()
    with path.open("w", encoding="utf-8") as file:
        for place, (row, text, pair, label) in enumerate(
            zip(rows.row_ids, rows.texts, rows.pairs, labels, strict=True)
        ):
            reference = ReferenceRow(
                row_id=row,
                text=text,
                text_pair=pair,
                label=label,
                answer=names[label] if names and label is not None else None,
                student=_numbers(own[place]),
                teacher=None if theirs is None else _numbers(theirs[place]),
            )
            file.write(reference.model_dump_json() + "\n")


def _numbers(values: Any) -> list[float]:
    return [float(f"{value:.8g}") for value in values.tolist()]  # all a float32 holds, in half the bytes
