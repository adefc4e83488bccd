"""What the gate judges: an artifact, the answers stored with it, and the student where it is at hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError
from tokenizers import Tokenizer

from edgedistill.artifacts import (
    GOLDENS,
    REFERENCE,
    Golden,
    Manifest,
    ReferenceRow,
    goldens_of,
    reference_of,
    resolve_inside,
)
from edgedistill.data.encoding import Encoding, clean, encode
from edgedistill.data.probes import ADVERSARIAL, PLAIN
from edgedistill.data.tasks import Kind
from edgedistill.errors import ArtifactError
from edgedistill.evaluate import Floats, predict
from edgedistill.gate.tolerances import Tolerances
from edgedistill.quant.schemes import SCHEMES, Scheme
from edgedistill.runner import Runner, is_answer

Outputs = dict[str, list[NDArray[np.float32]]]
R = TypeVar("R", bound=BaseModel)

_PAIRED_KINDS = ("pair", "ranking", "span")
_ADVERSARIAL_TEXTS = frozenset({*ADVERSARIAL.values(), *(clean(text) for text in ADVERSARIAL.values())})


@dataclass(frozen=True)
class Student:
    """The student in PyTorch, where its folder is at hand and its weights are those the manifest names.

    Attributes:
        runner: runs it.
        num_layers: transformer layers.
        without_layer: runs it with one layer skipped.
        tokenizer: its own.
        labels: class names in logit order, as its own configuration has them.
    """

    runner: Runner
    num_layers: int
    without_layer: Callable[[int], Runner]
    tokenizer: Tokenizer
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """Everything the rungs look at.

    Attributes:
        folder: the artifact.
        manifest: its manifest.
        runner: runs it.
        tokenizer: its own tokenizer, as an app would load it.
        goldens: texts with every stored answer.
        reference: the judged split with the student's and teacher's stored logits; empty without a dataset.
        tolerances: what may differ.
        seed: of the bootstrap.
        student: the student itself; none where it is not at hand.
        at_length: gives the runner of one fixed length alone; None where the length is free. A runner with several
            lengths takes the shortest that holds the text, so padding has to be forced on it.
        all_answers: opens the model so that it gives all that goldens store: every exit's answer, the words'
            log-probabilities; None where it always does. Given a manifest, it takes the graphs in that one's order.
    """

    folder: Path
    manifest: Manifest
    runner: Runner
    tokenizer: Tokenizer
    goldens: tuple[Golden, ...]
    reference: tuple[ReferenceRow, ...]
    tolerances: Tolerances
    seed: int = 0
    student: Student | None = None
    at_length: Callable[[int], Runner] | None = None
    all_answers: Callable[[Manifest], Runner] | None = None

    @property
    def scheme(self) -> Scheme:
        """Its precision.

        Raises:
            ArtifactError: the manifest names none that is known.
        """
        if self.manifest.scheme not in SCHEMES:
            raise ArtifactError(f"the manifest names the scheme '{self.manifest.scheme}', which has no tolerances.")
        return SCHEMES[self.manifest.scheme]

    @property
    def kind(self) -> Kind | None:
        """What the outputs decide; None for an embedding."""
        return None if self.manifest.task.kind == "embedding" else self.manifest.task.kind

    @property
    def pad_id(self) -> int:
        """The tokenizer's padding token."""
        return self.manifest.tokenizer.special_ids.get("pad", 0)

    @property
    def batch_size(self) -> int:
        """Texts at a time. Activations quantized by their range answer by their batch: one, as on a phone."""
        return 1 if self.scheme.activations <= 8 else 32

    @property
    def fixed_lengths(self) -> list[int]:
        """Lengths of its graphs in tokens, rising; empty where the length is free."""
        return sorted(graph.length for graph in self.manifest.graphs if graph.length) if self.at_length else []

    def encode(self, texts: Sequence[str], pairs: Sequence[str | None] | None = None) -> list[Encoding]:
        """Tokenise with the artifact's tokenizer."""
        return encode(self.tokenizer, texts, pairs, self.manifest.tokenizer.max_length)

    def run(
        self, encodings: Sequence[Encoding], runner: Runner | None = None, batch_size: int | None = None
    ) -> Outputs:
        """The artifact's outputs (or another runner's), one array a text, without padding."""
        return predict(runner or self.runner, encodings, batch_size or self.batch_size)

    def run_together(self, encodings: Sequence[Encoding]) -> Outputs:
        """The artifact's outputs for texts that all share one batch, padded to the longest."""
        return predict(self.runner, encodings, len(encodings), self.pad_id)

    def joined(self, outputs: Outputs) -> list[Floats]:
        """One array a text: all outputs that goldens store, flattened and joined in their stored order."""
        names = [name for name in self.goldens[0].student if is_answer(name)]
        missing = [name for name in names if name not in outputs]
        if missing:
            raise ArtifactError(f"the model has no output '{missing[0]}'. It has: {', '.join(outputs)}.")
        return [
            np.concatenate([np.ravel(value) for value in row]) for row in zip(*(outputs[n] for n in names), strict=True)
        ]

    def shaped(self, flat: Floats, tokens: int) -> Floats:
        """A text's flat logits as `evaluate.decide` wants them: (S, C) for tags, as they are otherwise."""
        return np.reshape(flat, (tokens, -1)) if self.kind == "tokens" and tokens and flat.size % tokens == 0 else flat

    @cached_property
    def golden_encodings(self) -> list[Encoding]:
        """The stored ids of the goldens: what the student answered, whatever the tokenizer says today."""
        return [Encoding(golden.input_ids, golden.token_type_ids) for golden in self.goldens]

    @cached_property
    def golden_answers(self) -> list[Floats]:
        """The artifact's outputs for the goldens, one text at a time as in an app."""
        return self.joined(self.run(self.golden_encodings, batch_size=1))

    @cached_property
    def student_goldens(self) -> list[Floats]:
        """The student's stored outputs for the goldens."""
        return [stored(golden.student) for golden in self.goldens]

    @cached_property
    def is_adversarial(self) -> list[bool]:
        """Which goldens are adversarial text."""
        return [golden.text in _ADVERSARIAL_TEXTS for golden in self.goldens]

    @cached_property
    def adversarial_encodings(self) -> list[Encoding]:
        """Every bundled adversarial text in the artifact's tokens, beside a plain one where a task takes pairs."""
        texts = list(ADVERSARIAL.values())
        return self.encode(texts, [PLAIN[0]] * len(texts) if self.kind in _PAIRED_KINDS else None)

    @cached_property
    def adversarial_answers(self) -> list[Floats]:
        """The artifact's outputs for them."""
        return self.joined(self.run(self.adversarial_encodings))

    @cached_property
    def reference_encodings(self) -> list[Encoding]:
        """The judged split in the artifact's tokens."""
        rows = self.reference
        return self.encode([row.text for row in rows], [row.text_pair for row in rows])

    @cached_property
    def reference_answers(self) -> list[Floats]:
        """The artifact's outputs for the judged split."""
        return self.joined(self.run(self.reference_encodings)) if self.reference else []

    @cached_property
    def student_reference(self) -> list[Floats]:
        """The student's stored outputs for the judged split."""
        return [np.asarray(row.student, dtype=np.float64) for row in self.reference]


def stored(outputs: dict[str, list[float]]) -> Floats:
    """A golden's answers as one array, in their stored order."""
    values = [value for name, values in outputs.items() if is_answer(name) for value in values]
    return np.array(values, dtype=np.float64)


def stored_as(part: Manifest, whole: Manifest) -> tuple[str, str]:
    """Names of the files with a task's goldens and judged rows.

    Args:
        part: the manifest as that task has it (`Manifest.of_each_task`).
        whole: the artifact's own.
    """
    name = part.task.name
    is_main = name is None or name == whole.task.name
    return (GOLDENS, REFERENCE) if is_main else (goldens_of(str(name)), reference_of(str(name)))


def read_goldens(folder: Path, name: str = GOLDENS) -> tuple[Golden, ...]:
    """Read an artifact's goldens.

    Raises:
        ArtifactError: missing, empty or malformed; the message names the line.
    """
    goldens = tuple(_rows(folder, name, Golden))
    if not goldens:
        raise ArtifactError(f"'{folder / name}' has no goldens. Export again.")
    return goldens


def read_reference(folder: Path, name: str = REFERENCE) -> tuple[ReferenceRow, ...]:
    """Read the judged split stored with an artifact; empty where there is none.

    Raises:
        ArtifactError: malformed; the message names the line.
    """
    return tuple(_rows(folder, name, ReferenceRow)) if (folder / name).is_file() else ()


def _rows(folder: Path, name: str, model: type[R]) -> Iterator[R]:
    path = resolve_inside(folder, name)
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"cannot read '{path}': {error}. Export again.") from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _row(model, line, path, number)


def _row(model: type[R], line: str, path: Path, number: int) -> R:
    try:
        value: Any = json.loads(line)
        return model.model_validate(value)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise ArtifactError(f"'{path}', line {number}: {where}: {problem['msg']}. Export again.") from error
    except ValueError as error:
        raise ArtifactError(f"'{path}', line {number}: not JSON: {error}. Export again.") from error
