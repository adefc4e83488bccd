"""The files beside the model in an artifact: tokenizer, and the judged split with its answers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgedistill import files
from edgedistill.artifacts import CALIBRATION, GOLDENS, LABELS, REFERENCE, ReferenceRow, TokenizerSpec, reference_of
from edgedistill.data.encoding import clean, encode, text_rules
from edgedistill.data.tasks import Task
from edgedistill.errors import CheckpointError
from edgedistill.evaluate import predict
from edgedistill.progress import Tracker, progress
from edgedistill.runner import Arrays, Runner, is_answer

if TYPE_CHECKING:
    from edgedistill.models.loading import Checkpoint

Role = Literal["model", "tokenizer", "labels", "golden", "reference", "calibration", "config"]
_KINDS: dict[str, Literal["wordpiece", "wordlist", "bpe", "sentencepiece"]] = {
    "WordPiece": "wordpiece",
    "WordLevel": "wordlist",
    "BPE": "bpe",
    "Unigram": "sentencepiece",
}
_ROLES: dict[str, Role] = {LABELS: "labels", CALIBRATION: "calibration", "config.json": "config"}
_VOCABULARY = "vocab.txt"


def role_of(path: Path, is_model: bool) -> Role:
    """What a file of an artifact is for."""
    if path.suffix == ".jsonl" and path.name not in _ROLES:  # a head that is not the main one has files of its own
        return "golden" if path.name.startswith(Path(GOLDENS).stem) else "reference"
    return "model" if is_model else _ROLES.get(path.name, "tokenizer")


def write_tokenizer(
    folder: Path, checkpoint: Checkpoint, input_names: tuple[str, ...], max_length: int
) -> TokenizerSpec:
    """Write the tokenizer so that `AutoTokenizer` feeds this very model, and a phone can rebuild it.

    Raises:
        CheckpointError: an algorithm no phone package or runtime here knows.
    """
    tokenizer = checkpoint.tokenizer
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    with _told(tokenizer, model_max_length=max_length, model_input_names=list(input_names)):
        tokenizer.save_pretrained(folder)
    stored = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    algorithm = stored["model"].get("type", "WordPiece")
    if algorithm not in _KINDS:
        raise CheckpointError(f"the tokenizer's algorithm is '{algorithm}'. There are: {', '.join(_KINDS)}.")
    kind = _KINDS[algorithm]
    if kind in {"wordpiece", "wordlist"}:
        (folder / _VOCABULARY).write_text("".join(f"{entry}\n" for entry in _entries(tokenizer)), encoding="utf-8")
    rules = text_rules(stored)
    return TokenizerSpec(
        kind=kind,
        file=_VOCABULARY if (folder / _VOCABULARY).is_file() else "tokenizer.json",
        sha256=files.sha256_of(folder / "tokenizer.json"),
        vocab_size=len(tokenizer),
        lowercase=rules.lowercase,
        strip_accents=rules.strip_accents,
        handle_chinese_chars=rules.handle_chinese_chars,
        special_ids=_special_ids(tokenizer),
        max_length=max_length,
    )


def write_reference(
    folder: Path,
    checkpoint: Checkpoint,
    task: Task | None,
    data: Path | None,
    max_length: int,
    student: Runner,
    asks_again: bool = False,
) -> tuple[ReferenceRow, ...]:
    """Store the judged split with its answers: the student's own file, or computed where a task is given.

    Args:
        folder: the artifact being made.
        checkpoint: the student.
        task: of the rows, where one is given.
        data: folder of the task's files.
        max_length: longest input in tokens.
        student: the student in PyTorch, answering as the artifact is to answer.
        asks_again: whether that is otherwise than in its own file, which holds what the last classifier says.

    Returns:
        The rows; none for a checkpoint without either.

    Raises:
        DataError: the task's files cannot be used.
    """
    is_own_task = task is None or (checkpoint.card is not None and checkpoint.card.task.name == task.name)
    stored = checkpoint.folder / (REFERENCE if task is None or is_own_task else reference_of(task.name))
    if data is None and stored.is_file():
        lines = stored.read_text(encoding="utf-8").split("\n")
        kept = tuple(ReferenceRow.model_validate_json(line) for line in lines if line.strip())
        if not asks_again:
            shutil.copyfile(stored, folder / REFERENCE)
            return kept
        return _written(folder, _asked_again(checkpoint, kept, max_length, student))
    if task is None or task.kind == "generation":  # what a text is worth is no matter of one row's numbers
        return ()
    return _written(folder, tuple(_answered(checkpoint, task, data, max_length, student)))


def _written(folder: Path, rows: tuple[ReferenceRow, ...]) -> tuple[ReferenceRow, ...]:
    lines = (json.dumps(row.model_dump(mode="json")) + "\n" for row in rows)
    (folder / REFERENCE).write_text("".join(lines), encoding="utf-8")
    return rows


def _asked_again(
    checkpoint: Checkpoint, rows: tuple[ReferenceRow, ...], max_length: int, student: Runner
) -> tuple[ReferenceRow, ...]:
    """Stored rows with the answers the student gives now."""
    texts, pairs = [row.text for row in rows], [row.text_pair for row in rows]
    answers = _logits(checkpoint, texts, pairs, max_length, student, "the judged split")
    return tuple(row.model_copy(update={"student": one}) for row, one in zip(rows, answers, strict=True))


def _logits(
    checkpoint: Checkpoint,
    texts: Sequence[str],
    pairs: Sequence[str | None],
    max_length: int,
    student: Runner,
    name: str,
) -> list[list[float]]:
    """The student's answers to some texts, each flattened: start then end scores for a span."""
    encodings = encode(checkpoint.tokenizer.backend_tokenizer, texts, pairs, max_length)
    with progress(f"PyTorch on {len(texts)} rows of {name}", len(texts)) as tracker:
        outputs = predict(_counted(student, tracker), encodings)
    answers = [values for output, values in outputs.items() if is_answer(output)]
    return [
        [float(value) for value in np.concatenate([np.ravel(values[number]) for values in answers])]
        for number in range(len(texts))
    ]


def _answered(
    checkpoint: Checkpoint, task: Task, data: Path | None, max_length: int, student: Runner
) -> Iterator[ReferenceRow]:
    """The judged split with the checkpoint's own answers in PyTorch."""
    from edgedistill.data.task_data import load_judged

    rows, names = load_judged(task, data, checkpoint.tokenizer, max_length=max_length)
    texts, pairs, labels = rows.texts, rows.pairs, rows.labels or [None] * len(rows)
    answers = _logits(checkpoint, texts, pairs, max_length, student, task.name)
    for number, row_id in enumerate(rows.row_ids):
        yield ReferenceRow(
            row_id=row_id,
            text=clean(texts[number]),
            text_pair=None if pairs[number] is None else clean(str(pairs[number])),
            label=labels[number],
            answer=names[int(labels[number])] if names and isinstance(labels[number], int) else None,
            student=answers[number],
        )


def _counted(runner: Runner, tracker: Tracker) -> Runner:
    """The runner, telling the tracker of every row it answered."""

    def run(inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        answers = runner(inputs)
        tracker.advance(len(inputs["input_ids"]))
        return answers

    return run


@contextmanager
def _told(tokenizer: Any, **values: Any) -> Iterator[None]:
    """Change what the tokenizer says of itself for the length of the block.

    `save_pretrained` writes some values from the object and some from the arguments it was made with.
    """
    before = {name: getattr(tokenizer, name) for name in values}, dict(tokenizer.init_kwargs)
    for name, value in values.items():
        setattr(tokenizer, name, value)
    tokenizer.init_kwargs.update(values)
    try:
        yield
    finally:
        for name, value in before[0].items():
            setattr(tokenizer, name, value)
        tokenizer.init_kwargs.clear()
        tokenizer.init_kwargs.update(before[1])


def _entries(tokenizer: Any) -> list[str]:
    """The vocabulary in the order of its ids; numbers nobody uses get a name that no text has."""
    by_id = {number: entry for entry, number in tokenizer.get_vocab().items()}
    return [by_id.get(number, f"[unused-{number}]") for number in range(max(by_id) + 1)]


def _special_ids(tokenizer: Any) -> dict[str, int]:
    found = {name: getattr(tokenizer, f"{name}_token_id", None) for name in ("pad", "unk", "cls", "sep", "mask")}
    return {name: int(number) for name, number in found.items() if number is not None}
