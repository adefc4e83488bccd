"""Frozen models of every measured number, saved as JSON beside what they were measured on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ValidationError

from edgedistill import files
from edgedistill.artifacts import Environment, Source, TaskCard
from edgedistill.config import Settings
from edgedistill.errors import ArtifactError
from edgedistill.times import BenchReport as BenchReport
from edgedistill.times import BenchRow as BenchRow
from edgedistill.times import Core as Core
from edgedistill.times import Heat as Heat
from edgedistill.times import Latency as Latency
from edgedistill.times import Moment as Moment
from edgedistill.times import PhoneCard as PhoneCard
from edgedistill.times import SelfTest as SelfTest
from edgedistill.times import StatedLatency as StatedLatency
from edgedistill.times import StatedRow as StatedRow
from edgedistill.words import EmbeddingReport, VocabularyReport

Status = Literal["passed", "failed", "inconclusive", "not_run"]
FlopsCount = Literal["paper", "reference"]
"""How FLOPs are counted: every linear layer, or as the authors' counter does, without classifiers' last projections."""
MacsRule = Literal["padded_linear", "padded_all", "true_linear", "true_all"]
"""Which MACs: at the padded length or each text's own; linear layers only as the paper counts them, or every product
that is computed here (attention's too; of a classifier's queries only the first token's)."""


class Finding(Settings):
    """A fault with its name, so that it can be looked up, tested for and fixed."""

    name: str
    """Such as swapped_labels, wrong_vocabulary, layer_dropped."""
    message: str
    """What was seen and what to do."""


class Measure(Settings):
    """One number of a rung, with its limit where it has one."""

    name: str
    """What was measured."""
    value: float | None
    """The number; none where it is not defined."""
    limit: float | None = None
    """Where it must stay."""
    relation: Literal["<=", ">="] | None = None
    """How value and limit must stand."""
    low: float | None = None
    """Lower end of the 95 % interval."""
    high: float | None = None
    """Upper end of the 95 % interval."""

    @property
    def is_within(self) -> bool:
        """Whether the limit is kept; a number that is not defined keeps none."""
        if self.limit is None:
            return True
        if self.value is None:
            return False
        return self.value <= self.limit if self.relation == "<=" else self.value >= self.limit


class Rung(Settings):
    """One step of the ladder from the teacher to the phone."""

    name: str
    """Such as student_to_artifact."""
    title: str
    """For people."""
    status: Status
    """What came out."""
    reason: str = ""
    """Why it failed, was inconclusive or was not run."""
    rows: int = 0
    """Texts compared."""
    measures: tuple[Measure, ...] = ()
    """The numbers."""
    findings: tuple[Finding, ...] = ()
    """Named faults."""


class Verdict(Settings):
    """What the gate says of one artifact."""

    schema_version: Literal[1] = 1
    """Version of this format."""
    created: str
    """UTC, ISO 8601."""
    command: str
    """What was typed."""
    environment: Environment
    """Where it was judged."""
    artifact: str
    """Folder name."""
    manifest_sha256: str
    """Of the manifest that was judged."""
    status: Literal["passed", "failed", "inconclusive"]
    """The worst of the rungs that were run."""
    rungs: tuple[Rung, ...]
    """Step by step."""
    overrides: dict[str, float] = {}
    """Tolerances that were changed by hand."""
    seed: int = 0
    """Of the bootstrap."""


class StudentCard(Settings):
    """What training left beside a student's weights (`edgedistill.json` in its folder)."""

    schema_version: Literal[1] = 1
    """Version of this format."""
    created: str
    """UTC, ISO 8601."""
    command: str
    """What was typed."""
    environment: Environment
    """Where it was trained."""
    recipe: str
    """Recipe that made it."""
    task: TaskCard
    """What it answers."""
    labels: tuple[str, ...] = ()
    """Class names in logit order."""
    student: Source
    """The student itself."""
    teacher: Source | None = None
    """Its teacher; none for plain fine-tuning."""
    parents: tuple[Source, ...] = ()
    """What the teacher was made from."""
    seed: int = 0
    """Of everything random."""
    data_sha256: str = ""
    """Of the training rows."""
    scores: dict[str, float] = {}
    """Metric on the judged split: student, teacher, agreement, rows."""
    layer_errors: dict[str, list[float]] = {}
    """Per-layer student-teacher errors on the judged split, where the shapes allow them."""
    vocabulary: VocabularyReport | None = None
    """What the student kept of its teacher's vocabulary; none for all of it."""
    embedding: EmbeddingReport | None = None
    """What its factorised word embeddings kept of its teacher's; none where they are as wide."""
    seconds: dict[str, float] = {}
    """Time per stage."""
    licence: str = "unknown"
    """Licence of the weights as the teacher's card states it."""

    @property
    def words(self) -> tuple[str, ...]:
        """What the student has of its teacher's words, a line each."""
        vocabulary = [f"vocabulary: {self.vocabulary.sentence}"] if self.vocabulary else []
        return (*vocabulary, *([f"embeddings: {self.embedding.sentence}"] if self.embedding else []))


class ExitPoint(Settings):
    """What one speed gives on some rows."""

    speed: float
    """A text leaves where its uncertainty is below this."""
    score: float
    """The task's headline metric."""
    mean_layers: float
    """Layers a text passes on average."""
    left_at: tuple[float, ...]
    """Share of the texts that leave at each layer."""
    macs: dict[MacsRule, float]
    """Mean multiply-accumulates a text, padded or true length, linear layers only or all products."""
    flops: float
    """By the paper's rule, twice the MACs of linear layers at the padded length; see flops_count."""
    speedup: float
    """FLOPs of the model without exits over these; not time."""


class ExitReport(Settings):
    """A FastBERT's curve of score against cost, and the speed chosen on it."""

    schema_version: Literal[1] = 1
    """Version of this format."""
    metric: str
    """What the score is."""
    speed: float
    """Chosen on the development rows: the cheapest that keeps max_drop."""
    max_drop: float
    """Points of the metric that leaving early may cost."""
    max_cost: float | None = None
    """Most mean MACs as a share of those without exits, by which the speed was chosen instead; none: by max_drop."""
    max_ms: float | None = None
    """Most mean milliseconds of a text asked alone, by which it was chosen instead."""
    exit_ms: tuple[float, ...] = ()
    """Milliseconds until each exit had answered, where max_ms was the target."""
    flops_count: FlopsCount
    """How FLOPs are counted."""
    padded_length: int
    """Tokens the padded counts are for."""
    dev_rows: int
    """Rows the speed was chosen on."""
    judged_rows: int
    """Rows the judged curve is of."""
    each_exit: tuple[float, ...]
    """Development score of every classifier when all texts leave there."""
    dev: tuple[ExitPoint, ...]
    """The curve on the development rows, the chosen speed included."""
    judged: tuple[ExitPoint, ...]
    """The same speeds on the judged rows; nothing was chosen by them."""

    @property
    def summary(self) -> str:
        """The choice in one sentence."""
        chosen, full = (next(p for p in self.judged if p.speed == speed) for speed in (self.speed, 0.0))
        return (
            f"exits: speed {self.speed:g} chosen on {self.dev_rows} development rows; on {self.judged_rows} judged "
            f"rows {chosen.score:.4f} after {chosen.mean_layers:.1f} of {len(chosen.left_at)} layers "
            f"({chosen.speedup:.1f}x fewer FLOPs), {full.score:.4f} after all"
        )


M = TypeVar("M", bound=BaseModel)
STUDENT_CARD = "edgedistill.json"
EXITS = "exits.json"
"""Beside a student that may leave early."""
VERDICT = "parity.json"
BENCH = "bench.json"
BENCHES = "bench*.json"
"""This machine's bench, every phone's and the imported one."""


def save(report: BaseModel, path: Path) -> Path:
    """Write a report as JSON, atomically."""
    return files.write_json(path, report.model_dump(mode="json"))


def read(model: type[M], path: Path) -> M:
    """Read a report back.

    Raises:
        ArtifactError: missing, not JSON, or not such a report.
    """
    try:
        return model.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise ArtifactError(f"no file '{path}'.") from error
    except (OSError, ValueError, ValidationError) as error:
        raise ArtifactError(f"'{path}' is not a readable {model.__name__}: {error}") from error
