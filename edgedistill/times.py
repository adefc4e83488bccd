"""Times: what a bench measured on this machine or a phone, and what other tools and publications state.

A measured row has its raw samples and every percentile; a stated one has what its source says and nothing more.
Emulators give no times: neither has a word for them.
"""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from edgedistill.config import Settings
from edgedistill.environment import Environment


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
    thermal_status: int | None = None
    """Android's thermal service: 0 none, 1 light, 2 moderate, 3 severe, up to 6 shutdown; none where nobody said."""
    battery_celsius: float | None = None
    """The battery's own sensor; none where there is none."""
    battery_percent: int | None = None
    """Charge of the battery; none where there is none."""


class Moment(Settings):
    """How hot a phone was at one time of a bench."""

    seconds: float
    """Since the bench began."""
    what: str
    """What had just ended: the name of a row, cooling down, start."""
    heat: Heat
    """What the sensors said."""


class Core(Settings):
    """One core of a phone's processor."""

    number: int
    """As the system counts, from 0."""
    max_khz: int | None
    """Its highest clock; none where the system does not say."""


class PhoneCard(Settings):
    """The phone that a bench ran on."""

    model: str
    """Manufacturer and model, as the phone says."""
    soc: str
    """Processor, as the phone says; empty where it does not."""
    android: str
    """Android version."""
    sdk: int
    """API level."""
    abi: str
    """Processor architecture, such as arm64-v8a."""
    kernel: str
    """Release of the kernel."""
    cores: tuple[Core, ...]
    """Every core with its highest clock, which tells big from little."""
    serial_sha256: str
    """Hash of its serial number: tells phones apart without naming anybody's."""


class SelfTest(Settings):
    """An artifact's goldens, answered on the device that was timed."""

    artifact: str
    """Folder name."""
    manifest_sha256: str
    """Of its manifest: what another one answered says nothing about it."""
    task: str | None = None
    """Whose head answered; none for a model that has one."""
    status: Literal["passed", "failed", "not_run"]
    """Whether every answer was within its tolerance."""
    goldens: int
    """Texts that were answered."""
    within: int
    """How many of them within the tolerance their golden allows."""
    agreement: float | None
    """Share with the same decision as the golden; none where outputs are no decision."""
    max_abs: float | None
    """Largest absolute difference of an output; none where nothing was compared."""
    source: Literal["phone", "qemu"]
    """Where it ran; answers of an emulator are answers, its times are none."""
    reason: str = ""
    """Why it failed or was not run, or what no golden reaches."""

    @property
    def name(self) -> str:
        """The artifact, and the task where it has several."""
        return self.artifact if self.task is None else f"{self.artifact}, {self.task}"


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


class StatedLatency(Settings):
    """Times as a tool or a publication states them, in milliseconds; what it does not state is none."""

    runs: int | None = None
    """How many were measured."""
    p5_ms: float | None = None
    """5th percentile."""
    p50_ms: float | None = None
    """Median."""
    p90_ms: float | None = None
    """90th percentile."""
    p95_ms: float | None = None
    """95th percentile."""
    p99_ms: float | None = None
    """99th percentile."""
    min_ms: float | None = None
    """Fastest."""
    max_ms: float | None = None
    """Slowest."""
    mean_ms: float | None = None
    """Mean."""
    trimmed_mean_ms: float | None = None
    """Mean without the fastest and the slowest tenth."""
    std_ms: float | None = None
    """Standard deviation."""
    first_ms: float | None = None
    """The very first inference."""
    load_ms: float | None = None
    """Reading the model and making it ready."""

    @model_validator(mode="after")
    def _states_a_time(self) -> StatedLatency:
        times = {name: value for name, value in self if name != "runs" and value is not None}
        wrong = [name for name, value in times.items() if value < 0]
        if wrong:
            raise ValueError(f"{wrong[0]} is {times[wrong[0]]}, below zero")
        if not set(times) - {"first_ms", "load_ms", "std_ms"}:
            raise ValueError("no time of an inference is stated")
        return self

    @property
    def headline(self) -> tuple[str, float]:
        """The most telling time that is stated, with its name: p90 where there is one, as in MLPerf."""
        order = ("p90_ms", "p50_ms", "mean_ms", "trimmed_mean_ms", "p95_ms", "p99_ms", "max_ms", "min_ms", "p5_ms")
        return next((name.removesuffix("_ms"), value) for name in order if (value := getattr(self, name)) is not None)


class StatedRow(Settings):
    """Times that another tool, or a publication, states of a model."""

    model: str
    """As the source names it."""
    tool: str
    """What wrote the numbers."""
    source: Literal["host", "phone", "published", "unstated"]
    """Where the times come from; `unstated` where neither the tool nor its user said."""
    device: str | None = None
    """Processor or phone, where it is stated."""
    backend: str | None = None
    """Runtime, accelerator and precision, where they are stated."""
    threads: int | None = None
    """Threads, where they are stated."""
    length: int | None = None
    """Tokens, where they are stated."""
    latency: StatedLatency
    """Times."""
    peak_memory_bytes: int | None = None
    """Peak memory, as the tool counts it."""
    size_bytes: int | None = None
    """Model file."""
    fallback_share: float | None = None
    """Share of the model's nodes that the accelerator left to the processor."""
    validity: Literal["valid", "semi", "invalid"] | None = None
    """MLPerf's word; none where the tool has no such rule."""
    is_throttled: bool | None = None
    """Whether the last third was more than 10 % slower than the first; none without single times."""
    samples_ms: tuple[float, ...] = ()
    """Every measured time, where the tool writes them."""
    citation: str | None = None
    """Where it was published."""
    notes: tuple[str, ...] = ()
    """What a reader must know, such as a percentile that is missing."""


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
    mode: Literal["submission", "quick", "rapid"] | None
    """How long each row was measured; none where every row is stated by others."""
    seed: int
    """Of the texts and the interleaving."""
    rows: tuple[BenchRow, ...]
    """The numbers."""
    notes: tuple[str, ...] = ()
    """How the inputs were made, and rows that are missing with the reason."""
    stated: tuple[StatedRow, ...] = ()
    """What other tools and publications say."""
    phone: PhoneCard | None = None
    """The phone; none where none was used."""
    runtime_build: str = ""
    """Which build of the runtime ran on the phone, such as glibc-wheel or aar; empty on this machine."""
    self_tests: tuple[SelfTest, ...] = ()
    """Goldens answered on the phone."""
    timeline: tuple[Moment, ...] = ()
    """How hot the phone was, from before the first row to after the last."""
