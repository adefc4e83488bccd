"""What a host asks of a benchmark on another machine, and what that answers: JSON files, one request, one result.

The native runner (`android_bench/runner`) and the app (`android_bench/app`) speak this alike:

    runner REQUEST.json RESULT.json        exit code 0: the result says done; 2: it says failed and why

Arrays lie beside the request as raw little-endian bytes, rows first (C order). One text is one input set, without
padding: the program pads to the graph's length, chooses a length or leaves early as an app would, inside the time
that it measures. Input sets are run in turn: sample number i is of input set i modulo their number.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from edgedistill.config import Settings
from edgedistill.graphs import Buckets, Cascade, Graph, Heads, Single

Where = Literal["phone", "qemu", "host"]
"""What a program ran on. Emulated time is no time: nothing here lets a qemu result hold one."""
Runtime = Literal["onnx", "tflite"]
"""ONNX Runtime or LiteRT; a target's name."""
RuntimeBuild = Literal["glibc-wheel", "aar"]
"""Where the runtime's native library comes from: a Linux wheel, or a user's Android library."""
Dtype = Literal["float32", "float16", "int64", "int32", "int8", "uint8", "bool"]
"""NumPy's names."""


def _below(name: str) -> str:
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\0" in name:
        raise ValueError("must be a path below the request's folder")
    return name


Below = Annotated[str, AfterValidator(_below)]
"""A path with forward slashes, relative to the request's folder and below it."""


class Array(Settings):
    """Where the bytes of one named array lie."""

    name: str
    """Of the graph's input or output."""
    dtype: Dtype
    """As the graph takes or gives it; an input of another type is refused, not cast."""
    shape: tuple[Annotated[int, Field(ge=0)], ...]
    """Sizes: (1, tokens) for ids and masks."""
    file: Below
    """Raw little-endian bytes, rows first."""
    offset: Annotated[int, Field(ge=0)] = 0
    """Byte in the file where it begins: many arrays may share a file."""


class InputSet(Settings):
    """One text's arrays, each as long as the text and without padding."""

    arrays: Annotated[tuple[Array, ...], Field(min_length=1)]
    """What the first graph takes; arrays it does not take are left out by the program."""


class RunRequest(Settings):
    """One model, its inputs, and how long to run it."""

    schema_version: Literal[1] = 1
    """Version of this format."""
    id: str
    """The asker's name for it; the result repeats it."""
    source: Where
    """What the asker takes the machine for. A program that finds itself emulated answers qemu whatever is said here."""
    runtime: Runtime
    """What opens the model."""
    runtime_build: RuntimeBuild = "glibc-wheel"
    """Where `library` was taken from; the result repeats it. An app answers aar."""
    library: str | None = None
    """The runtime's shared library: below the request's folder, or an absolute path; none for an app, which has it."""
    graphs: Annotated[tuple[Graph, ...], Field(min_length=1)]
    """The manifest's; their files are below the request's folder."""
    driver: Annotated[Single | Buckets | Cascade | Heads, Field(discriminator="kind")]
    """The manifest's: which graph answers a text, and when. Models that write are not run on phones yet."""
    inputs: Annotated[tuple[InputSet, ...], Field(min_length=1)]
    """Texts, run in turn."""
    threads: Annotated[int, Field(ge=1)] = 1
    """Given to the runtime."""
    cores: tuple[Annotated[int, Field(ge=0)], ...] = ()
    """Cores the program binds itself to before it loads anything; none: as it was started."""
    warm_up_runs: Annotated[int, Field(ge=0)]
    """Inferences thrown away after the first one, at least."""
    warm_up_seconds: Annotated[float, Field(ge=0)]
    """Seconds of them, at least."""
    min_runs: Annotated[int, Field(ge=0)]
    """Inferences measured, at least; 0 with `min_seconds` 0: none is, and outputs may still be written."""
    min_seconds: Annotated[float, Field(ge=0)]
    """Seconds spent in measured inferences, at least."""
    max_seconds: Annotated[float, Field(ge=0)]
    """Seconds spent in measured inferences, at most; what ends first of this and both minimums. 0: no limit."""
    sensor_seconds: Annotated[float, Field(ge=0)] = 0.0
    """Between two readings of the sensors while measuring, outside every measured time; 0: only before and after."""
    outputs: Below | None = None
    """File to write every input set's outputs to, once, before measuring; none: they are thrown away."""
    marks: bool = False
    """Whether each measured inference lies between two marks for an emulator's counter. Never on a phone."""

    @model_validator(mode="after")
    def _models_lie_below(self) -> Self:
        for graph in self.graphs:
            _below(graph.file)
        return self

    @model_validator(mode="after")
    def _marks_are_for_emulators(self) -> Self:
        if self.marks and self.source == "phone":
            raise ValueError("marks are unknown system calls: a phone may end a program for them")
        return self


class Reading(Settings):
    """What the machine's sensors said at one moment."""

    seconds: Annotated[float, Field(ge=0)]
    """Since the program began."""
    zones: dict[str, float] = {}
    """Degrees Celsius by thermal zone: its type, with its number where several have one."""
    clocks: dict[str, float] = {}
    """Megahertz by core number."""


class Output(Array):
    """One output of one input set."""

    input: Annotated[int, Field(ge=0)]
    """Number of the input set."""


class RunResult(Settings):
    """What a program answers. Times are raw, in nanoseconds; statistics are the host's work."""

    schema_version: Literal[1] = 1
    """Version of this format."""
    id: str
    """The request's."""
    status: Literal["done", "failed"]
    """Whether everything that was asked for is here."""
    error: str = ""
    """What went wrong and what to do; empty when done."""
    source: Where
    """What it ran on: the request's word, or qemu where the program found itself emulated."""
    runtime: Runtime
    """What opened the model."""
    runtime_version: str = ""
    """As the library itself says; empty where it says nothing."""
    runtime_build: RuntimeBuild
    """Where the library comes from."""
    threads: int
    """Given to the runtime."""
    cores: tuple[int, ...] = ()
    """Those the program could use while measuring."""
    load_ns: Annotated[int, Field(ge=0)] | None = None
    """Reading the models and making them ready."""
    first_ns: Annotated[int, Field(ge=0)] | None = None
    """The first inference."""
    warm_up_runs: int = 0
    """Inferences thrown away."""
    samples_ns: tuple[Annotated[int, Field(ge=0)], ...] = ()
    """Every measured inference, in order."""
    runs: int = 0
    """Inferences between `marks` or in `samples_ns`."""
    peak_rss_bytes: Annotated[int, Field(ge=0)] | None = None
    """Of the program; none where the system does not say."""
    readings: tuple[Reading, ...] = ()
    """Before warming up, while measuring where asked for, after; none where no sensor can be read."""
    layers: tuple[int, ...] = ()
    """Of a model that may leave early: segments that each input set passed."""
    outputs: tuple[Output, ...] = ()
    """Where each input set's outputs were written; per-token ones are as long as the text."""

    @model_validator(mode="after")
    def _emulated_time_is_no_time(self) -> Self:
        held = self.load_ns, self.first_ns, self.peak_rss_bytes, self.samples_ns or None, self.readings or None
        if self.source == "qemu" and any(one is not None for one in held):
            raise ValueError("a result from qemu holds no times, memory or sensors: those would be the emulator's")
        return self

    @model_validator(mode="after")
    def _a_failure_says_why(self) -> Self:
        if (self.status == "failed") != bool(self.error):
            raise ValueError("'error' is filled exactly when 'status' is failed")
        return self


class Progress(Settings):
    """One line of JSON on stderr while a program runs, about one a second; other lines there are messages."""

    phase: Literal["load", "warm_up", "outputs", "measure"]
    """What it does."""
    runs: int
    """Inferences of this phase so far."""
    seconds: float
    """Spent in them so far; under qemu the emulator's, good for nothing but to see it live."""


class Core(Settings):
    """One core as the system describes it; 0 or empty where it does not."""

    number: int
    """As in `cores`."""
    part: str = ""
    """Implementer and part as /proc/cpuinfo has them, such as 0x41/0xd0b."""
    max_khz: int = 0
    """Highest clock: what tells big cores from little ones."""
    min_khz: int = 0
    """Lowest clock."""


class Probe(Settings):
    """What the static probe prints on stdout: the machine as a program sees it, before anything is loaded."""

    schema_version: Literal[1] = 1
    """Version of this format."""
    machine: str
    """As uname says: aarch64 on a 64-bit phone."""
    kernel: str
    """System, release and version."""
    page_bytes: int
    """Size of a memory page: 4096 or 16384."""
    memory_bytes: int
    """Of the machine."""
    hwcap: tuple[str, ...]
    """Names of the processor's abilities that matter here: asimd, asimdhp, asimddp, i8mm, sve, sve2, bf16, sme."""
    cores: tuple[Core, ...]
    """Those there are, in order."""
    emulated: bool
    """Whether it found itself under an emulator."""
