"""Artifacts: a folder with model files, tokenizer, labels, goldens, and the manifest that says how it was made.

The manifest's `graphs` are the executable pieces, with named state where a graph carries some from call to
call; its `driver` says how to run them as one model. No fact is ever read out of a file name.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from edgedistill import files
from edgedistill.config import Settings, build
from edgedistill.data.tasks import Kind, Metric
from edgedistill.environment import Environment as Environment
from edgedistill.environment import environment as environment
from edgedistill.environment import now as now
from edgedistill.errors import ArtifactError, ConfigError
from edgedistill.graphs import Buckets as Buckets
from edgedistill.graphs import Cascade as Cascade
from edgedistill.graphs import Delegation as Delegation
from edgedistill.graphs import Driver as Driver
from edgedistill.graphs import Exit as Exit
from edgedistill.graphs import Graph as Graph
from edgedistill.graphs import Head as Head
from edgedistill.graphs import Heads as Heads
from edgedistill.graphs import Seq2Seq as Seq2Seq
from edgedistill.graphs import Single as Single
from edgedistill.graphs import State as State
from edgedistill.graphs import Tensor as Tensor
from edgedistill.searches import SearchReport as SearchReport

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
GOLDENS = "golden.jsonl"
REFERENCE = "reference.jsonl"
CALIBRATION = "calibration.jsonl"
LABELS = "labels.txt"


def reference_of(task: str) -> str:
    """Where a student of several tasks keeps the judged rows of one that is not its main one."""
    return f"reference-{task}.jsonl"


def goldens_of(task: str) -> str:
    """Where an artifact of several heads keeps the goldens of one that is not its main one."""
    return f"golden-{task}.jsonl"


class TokenizerSpec(Settings):
    """Enough to rebuild the tokenizer on a phone and to notice when it is another one."""

    kind: Literal["wordpiece", "wordlist", "bpe", "sentencepiece"]
    """Algorithm; a phone package takes the first two."""
    file: str
    """Vocabulary or tokenizer file within the folder."""
    sha256: str
    """Of tokenizer.json."""
    vocab_size: int
    """Entries."""
    lowercase: bool
    """Whether text is lower-cased first."""
    strip_accents: bool | None
    """Whether accents are removed; none: when lowercase is."""
    handle_chinese_chars: bool = True
    """Whether CJK characters are split one by one."""
    special_ids: dict[str, int]
    """pad, unk, cls, sep and mask, where the tokenizer has them."""
    max_length: int
    """Longest input in tokens, special ones included."""


class Source(Settings):
    """A checkpoint something was made from."""

    path: str
    """Hub id or folder, as given."""
    sha256: str
    """Of its weight file."""
    family: str
    """transformers' model type."""
    parameters: int
    """How many, exactly."""


class TaskCard(Settings):
    """What the model answers, kept with the student and with every artifact."""

    name: str | None
    """Task name; none for a model exported without one."""
    kind: Kind | Literal["embedding"]
    """What the outputs mean."""
    metric: Metric | None = None
    """What it is judged by."""
    max_length: int = 128
    """Longest input in tokens it was trained and judged at."""


class Quantization(Settings):
    """What was done to the numbers."""

    scheme: str
    """Name of the scheme."""
    tool: str
    """Quantizer and its version."""
    kept_float: dict[str, str] = {}
    """Operators left in float, each with the reason."""
    activations: int | None = None
    """Bits it computes in, where they are not those of the scheme."""
    calibration_sha256: str | None = None
    """Of the calibration set, where one was used."""
    calibration: str | None = None
    """Where its texts come from, and how many there are."""
    search: SearchReport | None = None
    """How scheme auto found what to leave in float."""


class FileEntry(Settings):
    """One file of the artifact as it was written."""

    path: str
    """Within the folder, with forward slashes."""
    sha256: str
    """Of its bytes."""
    size_bytes: int
    """Its size."""
    role: Literal["model", "tokenizer", "labels", "golden", "reference", "calibration", "config"]
    """What it is for; `reference` and `calibration` files stay out of app packages."""


class Manifest(Settings):
    """Everything there is to know about an artifact, tied by hash to its bytes."""

    schema_version: Literal[1] = 1
    """Version of this format."""
    created: str
    """UTC, ISO 8601."""
    command: str
    """What was typed."""
    environment: Environment
    """Where it was made."""
    source: Source
    """The checkpoint that was exported."""
    parents: tuple[Source, ...] = ()
    """What the source was made from: its teacher, and theirs."""
    recipe: str | None = None
    """Recipe that trained the source, where one did."""
    task: TaskCard
    """What it answers."""
    labels: tuple[str, ...] = ()
    """Class names in logit order."""
    target: str
    """Runtime."""
    scheme: str
    """Precision."""
    opset: int | None = None
    """ONNX operator set."""
    graphs: tuple[Graph, ...]
    """Executable pieces."""
    driver: Driver
    """How to run them."""
    tokenizer: TokenizerSpec
    """How text becomes ids."""
    quantization: Quantization | None = None
    """What was done to the numbers; none for fp32."""
    delegations: tuple[Delegation, ...] = ()
    """What accelerators take of it; none where it was not made for them."""
    files: tuple[FileEntry, ...]
    """Every file but this one and the reports."""
    packed: tuple[str, ...] = ()
    """Files that the model file itself holds too, for libraries that read raw text with it."""
    needs: str | None = None
    """Oldest systems it loads on, where its target knows: "iOS 16, macOS 13"."""
    licence: str = "unknown"
    """Licence of the weights as their card states it."""

    def graph(self, name: str) -> Graph:
        """The graph of that name.

        Raises:
            ArtifactError: the manifest has none.
        """
        for graph in self.graphs:
            if graph.name == name:
                return graph
        raise ArtifactError(f"the manifest's driver names a graph '{name}' that is not in its list of graphs.")

    def of_each_task(self) -> tuple[Manifest, ...]:
        """Itself; where it has several heads, once for each as if that task were the only one, the main one's first."""
        if not isinstance(self.driver, Heads):
            return (self,)
        return tuple(
            self.model_copy(update={"task": self._task_of(head), "labels": head.labels}) for head in self.driver.heads
        )

    def _task_of(self, head: Head) -> TaskCard:
        return self.task.model_copy(update={"name": head.name, "kind": head.kind, "metric": head.metric})

    @property
    def of_weights(self) -> str:
        """Scheme of the weights that are not left in float: the base of one that was searched for."""
        return self.quantization.search.base if self.quantization and self.quantization.search else self.scheme

    @property
    def model_size_bytes(self) -> int:
        """Bytes of the model files together."""
        return sum(file.size_bytes for file in self.files if file.role == "model")


class Golden(Settings):
    """One text with every answer to it: what a device's self-test compares with."""

    text: str
    """First text."""
    text_pair: str | None = None
    """Second text of a pair."""
    input_ids: tuple[int, ...]
    """Token ids without padding."""
    token_type_ids: tuple[int, ...]
    """Segment of each token."""
    teacher: dict[str, list[float]] | None = None
    """The teacher's outputs, flattened; none without a teacher."""
    student: dict[str, list[float]]
    """The student's outputs in PyTorch fp32, flattened."""
    artifact: dict[str, list[float]] | None
    """This artifact's outputs on the reference host, flattened; none where its runtime does not exist there."""
    tolerance: dict[str, float]
    """Largest absolute difference to `expected` that a device may show, per output."""

    @property
    def expected(self) -> dict[str, list[float]]:
        """What a device should answer: as the artifact did, or the student where the artifact was never run."""
        return self.student if self.artifact is None else self.artifact


class ReferenceRow(Settings):
    """One row of the judged split with the teacher's and the student's answer: lets the gate run anywhere."""

    row_id: str
    """Stable id of the row."""
    text: str
    """First text."""
    text_pair: str | None = None
    """Second text of a pair."""
    label: int | float | list[str] | list[int] | None = None
    """The right answer."""
    answer: str | None = None
    """Its name, where it is a class: a witness of the labels' order that the manifest's writer did not make up."""
    teacher: list[float] | None = None
    """The teacher's logits (start then end scores for a span), real tokens only."""
    student: list[float]
    """The student's logits in PyTorch fp32, likewise."""


def file_entry(folder: Path, path: Path, role: str) -> FileEntry:
    """Describe a file as it is on the disk now."""
    values = {"path": path.relative_to(folder).as_posix(), "size_bytes": path.stat().st_size, "role": role}
    return FileEntry.model_validate({**values, "sha256": files.sha256_of(path)})


def read_manifest(folder: Path) -> Manifest:
    """Read an artifact's manifest, without looking at the other files.

    Raises:
        ArtifactError: no artifact there, not JSON, another schema version, or not a manifest.
    """
    path = folder / MANIFEST
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        what = (
            f"it has no {MANIFEST}" if folder.is_dir() else "it is a file" if folder.exists() else "it does not exist"
        )
        raise ArtifactError(f"'{folder}' is no artifact: {what}. Make one with: edgedistill export STUDENT") from error
    except (OSError, ValueError) as error:
        raise ArtifactError(f"cannot read '{path}': {error}. Export it again.") from error
    found = value.get("schema_version") if isinstance(value, dict) else None
    if found != SCHEMA_VERSION:
        raise ArtifactError(
            f"'{path}' has schema version {found!r}; this edgedistill reads {SCHEMA_VERSION}. "
            "Export it again, or use the edgedistill it was made with."
        )
    try:
        return build(Manifest, value, str(path))
    except ConfigError as error:
        raise ArtifactError(f"{error}\nExport it again.") from error


def resolve_inside(folder: Path, name: str) -> Path:
    """The path of `name` within `folder`.

    Raises:
        ArtifactError: a hostile manifest names a file outside its folder.
    """
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ArtifactError(f"the manifest of '{folder}' names '{name}', which is outside the folder. Do not use it.")
    return path
