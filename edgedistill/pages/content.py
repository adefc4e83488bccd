"""What a page says, before it is drawn: the one content behind HTML, Markdown and JSON."""

from __future__ import annotations

from typing import Literal

from edgedistill.artifacts import Delegation, Environment, FileEntry, SearchReport, Source, TaskCard
from edgedistill.config import Settings
from edgedistill.pages.stages import StageContent
from edgedistill.reports import ExitReport, Latency, Moment, PhoneCard, Rung, SelfTest, StatedRow
from edgedistill.words import EmbeddingReport, VocabularyReport

ArtifactStatus = Literal["passed", "failed", "inconclusive", "unchecked", "void"]
"""The gate's word; `unchecked` where it has not spoken, `void` where files changed after it spoke."""

WORDS: dict[str, str] = {
    "passed": "Passed",
    "failed": "Failed",
    "inconclusive": "Inconclusive",
    "unchecked": "Not checked",
    "void": "Void",
    "not_run": "Not run",
}
"""Every status as people read it."""

MARKS: dict[str, str] = {
    "passed": "✓",
    "failed": "✕",
    "inconclusive": "?",
    "unchecked": "○",
    "void": "!",
    "not_run": "○",
}
"""A mark beside every status, so that nothing hangs on colour alone."""


class Headline(Settings):
    """The page's first words."""

    status: ArtifactStatus
    """The worst of the artifacts' statuses."""
    word: str
    """It, for people."""
    sentence: str
    """How many passed, and what is missing."""


class Score(Settings):
    """A task metric on the judged split."""

    name: str
    """Metric."""
    value: float
    """Its value."""
    low: float | None = None
    """Lower end of the 95 % interval."""
    high: float | None = None
    """Upper end of the 95 % interval."""


class FileState(Settings):
    """A file of an artifact, then and now."""

    entry: FileEntry
    """As it was exported."""
    state: Literal["same", "changed", "missing"]
    """As it is."""


class ArtifactContent(Settings):
    """One artifact."""

    name: str
    """Folder name."""
    folder: str
    """Where it is within the run."""
    status: ArtifactStatus
    """What the gate says of these very bytes."""
    reason: str
    """What the status means here."""
    target: str
    """Runtime."""
    scheme: str
    """Precision."""
    task: TaskCard
    """What it answers."""
    labels: tuple[str, ...]
    """Class names in logit order."""
    source: Source
    """The checkpoint that was exported."""
    parents: tuple[Source, ...]
    """What that was made from."""
    lengths: tuple[int, ...]
    """Fixed lengths; empty when the length is free."""
    size_bytes: int
    """Model files together."""
    files: tuple[FileState, ...]
    """Every file with its hash."""
    manifest_sha256: str
    """Of the manifest."""
    kept_float: dict[str, str]
    """Operators left in float, each with the reason."""
    search: SearchReport | None = None
    """How scheme auto found them."""
    delegations: tuple[Delegation, ...] = ()
    """What accelerators take of its graphs."""
    score: Score | None
    """Task metric of the artifact, where the gate measured it."""
    rungs: tuple[Rung, ...]
    """The ladder."""
    overrides: dict[str, float]
    """Tolerances that were changed by hand."""
    rows: int
    """Most texts compared on one rung."""
    licence: str
    """Of the weights."""
    environment: Environment
    """Where it was made."""


class TimingContent(Settings):
    """One row of a bench."""

    artifact: str
    """Folder name, or pytorch."""
    is_reference: bool
    """Whether it is PyTorch."""
    target: str
    """Runtime."""
    scheme: str
    """Precision."""
    length: int
    """Tokens."""
    threads: int
    """Threads the runtime was given."""
    latency: Latency
    """Times."""
    ratio: float | None
    """PyTorch's p90 divided by this p90, measured in the same turns; none without such a row."""
    peak_rss_bytes: int | None
    """Peak memory of a fresh process, Python and all."""
    size_bytes: int
    """Model files."""
    validity: Literal["valid", "semi", "invalid"]
    """MLPerf's word."""
    is_throttled: bool
    """Whether the machine slowed down meanwhile."""
    score: float | None = None
    """The artifact's task metric, where the gate measured it: what these times buy."""
    fallback: str = ""
    """Share of its nodes that each accelerator leaves to the processor, as its checker says."""


class BenchContent(Settings):
    """Rows measured together."""

    mode: str
    """submission, quick or rapid; empty where every row is stated by others."""
    created: str
    """When."""
    device: str
    """Processor or phone."""
    source: Literal["host", "phone", "published"]
    """Where the times come from."""
    affinity: str
    """Cores it could use."""
    rows: tuple[TimingContent, ...]
    """The rows; those of artifacts that were changed meanwhile are left out."""
    notes: tuple[str, ...]
    """How the inputs were made, what is missing."""
    phone: PhoneCard | None = None
    """The phone; none where none was used."""
    runtime_build: str = ""
    """Which build of the runtime ran there."""
    self_tests: tuple[SelfTest, ...] = ()
    """Goldens answered there."""
    timeline: tuple[Moment, ...] = ()
    """How hot it was."""
    stated: tuple[StatedRow, ...] = ()
    """What other tools state."""


class Point(Settings):
    """A mark of the accuracy-latency-size plot."""

    name: str
    """Artifact, or pytorch."""
    label: str
    """Short name: runtime and precision where that is enough to tell it from the others."""
    p90_ms: float
    """Latency."""
    score: float
    """Task metric."""
    size_bytes: int
    """Model files."""
    status: ArtifactStatus | None
    """The gate's word; none for PyTorch."""


class Plot(Settings):
    """Accuracy over latency, as area the size."""

    metric: str
    """What the score is."""
    length: int
    """Tokens all points were timed at."""
    threads: int
    """Threads all points were timed with."""
    device: str = ""
    """The phone all points were timed on; empty for this machine."""
    teacher: float | None
    """The teacher's score, a line across the plot."""
    points: tuple[Point, ...]
    """The marks."""
    absent: tuple[str, ...]
    """What has no mark, and why."""


class Training(Settings):
    """How the student was made."""

    recipe: str
    """Recipe."""
    task: TaskCard
    """What was learned."""
    student: Source
    """The student."""
    teacher: Source | None
    """Its teacher."""
    scores: dict[str, float]
    """On the judged split: student, teacher, agreement, rows."""
    vocabulary: VocabularyReport | None = None
    """What the student kept of its teacher's vocabulary; none for all of it."""
    embedding: EmbeddingReport | None = None
    """What its factorised word embeddings kept of its teacher's."""
    seed: int
    """Of everything random."""
    data_sha256: str
    """Of the training rows."""
    seconds: dict[str, float]
    """Time per stage."""
    licence: str
    """Of the weights."""
    environment: Environment
    """Where it was trained."""


class Command(Settings):
    """What was typed, and what it made."""

    made: str
    """The thing."""
    command: str
    """The line to type again."""
    created: str
    """When."""


class Content(Settings):
    """The whole page."""

    schema_version: Literal[1] = 1
    """Version of this format."""
    title: str
    """Name of the folder."""
    created: str
    """UTC, ISO 8601."""
    headline: Headline
    """The verdict."""
    training: Training | None
    """How the student was made; none for a folder of artifacts alone."""
    stages: tuple[StageContent, ...]
    """Phases of training with their losses."""
    exits: ExitReport | None = None
    """Score over cost of a student that may leave early; none for any other."""
    layer_errors: dict[str, tuple[float, ...]]
    """Per-layer student-teacher errors."""
    artifacts: tuple[ArtifactContent, ...]
    """Every artifact."""
    benches: tuple[BenchContent, ...]
    """Every bench."""
    plot: Plot | None
    """Accuracy, latency, size; none where no artifact has both score and time."""
    phone_plot: Plot | None = None
    """The same with the newest phone's times; none likewise."""
    published: tuple[StatedRow, ...] = ()
    """What others published, where a phone's times are on the page."""
    commands: tuple[Command, ...]
    """How to make it all again, in order."""
    missing: tuple[str, ...]
    """What is not on this page, and the command that would put it there."""
