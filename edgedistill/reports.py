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
from edgedistill.words import EmbeddingReport, VocabularyReport

Status = Literal["passed", "failed", "inconclusive", "not_run"]


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


class Latency(Settings):
    """Times of single inferences, in milliseconds."""

    runs: int
    """How many were measured, warm-up left out."""
    p50_ms: float
    """Median."""
    p90_ms: float
    """Headline, as in MLPerf."""
    p95_ms: float
    """95th percentile."""
    p99_ms: float
    """99th percentile."""
    min_ms: float
    """Fastest."""
    max_ms: float
    """Slowest."""
    mean_ms: float
    """Mean."""
    std_ms: float
    """Population standard deviation."""
    first_ms: float
    """The very first inference after loading."""
    load_ms: float
    """Reading the model and making it ready."""


class Heat(Settings):
    """What a processor's own sensors said at one moment."""

    celsius: float | None = None
    """Hottest sensor; none where the system does not say."""
    mhz: float | None = None
    """Mean clock of the cores the process may use; none where the system does not say."""


class BenchRow(Settings):
    """One artifact at one length and thread count."""

    artifact: str
    """Folder name; "pytorch" for the eager reference."""
    manifest_sha256: str | None
    """Of the manifest, tying the numbers to the bytes."""
    target: str
    """Runtime, or pytorch."""
    scheme: str
    """Precision."""
    source: Literal["host", "phone", "published"]
    """Where the times come from. Emulators give no times, so there is no word for them here."""
    device: str
    """Processor or phone."""
    threads: int
    """Threads the runtime was given."""
    affinity: str
    """Cores the process may use."""
    length: int
    """Sequence length in tokens; the longest where texts are taken as they come."""
    mean_layers: float | None = None
    """Layers a text passed on average; none for a model that never leaves early."""
    batch: int = 1
    """Texts at a time."""
    latency: Latency
    """Times."""
    peak_rss_bytes: int | None
    """Peak memory of a fresh process that loads and runs only this."""
    size_bytes: int
    """Model files."""
    validity: Literal["valid", "semi", "invalid"]
    """MLPerf's rule: minimum runs and minimum duration both met; duration only; neither."""
    is_throttled: bool
    """Whether the last third's median is more than 10 % above the first third's."""
    heat_before: Heat | None = None
    """Before the warm-up of the rows measured together; none where the system does not say."""
    heat_after: Heat | None = None
    """After the last of their measured times."""
    samples_ms: tuple[float, ...]
    """Every measured time, in order."""


class BenchReport(Settings):
    """Rows measured together, interleaved."""

    schema_version: Literal[1] = 1
    """Version of this format."""
    created: str
    """UTC, ISO 8601."""
    command: str
    """What was typed."""
    environment: Environment
    """Where it ran."""
    mode: Literal["submission", "quick", "rapid"]
    """How long each row was measured."""
    seed: int
    """Of the texts and the interleaving."""
    rows: tuple[BenchRow, ...]
    """The numbers."""
    notes: tuple[str, ...] = ()
    """How the inputs were made, and rows that are missing with the reason."""


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


M = TypeVar("M", bound=BaseModel)
STUDENT_CARD = "edgedistill.json"
VERDICT = "parity.json"
BENCH = "bench.json"


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
