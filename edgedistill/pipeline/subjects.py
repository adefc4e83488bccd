"""What bench times: artifacts whose bytes are the manifest's, and the checkpoints they were made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgedistill import files
from edgedistill.artifacts import MANIFEST, Cascade, Manifest, Source, read_manifest, resolve_inside
from edgedistill.errors import ArtifactError, CheckpointError, ConfigError, EdgeDistillError
from edgedistill.pipeline import openers
from edgedistill.pipeline.origins import checkpoint_folders

DEFAULT_LENGTH = 128
"""Length of a model that takes any: the length of the published phone numbers."""
PYTORCH = "pytorch"


@dataclass(frozen=True)
class Subject:
    """Something to be timed.

    Attributes:
        name: of its rows.
        folder: what its opener takes.
        opener: `module:function`, see `edgedistill.measure.probe.Opener`.
        texts: the artifact whose texts and tokenizer make its inputs.
        lengths: input lengths in tokens, rising.
        target, scheme, manifest_sha256, size_bytes: as in `BenchRow`.
        source: the checkpoint behind it.
        leaves_early: whether what it costs depends on what the text says.
    """

    name: str
    folder: Path
    opener: str
    texts: Path
    lengths: tuple[int, ...]
    target: str
    scheme: str
    manifest_sha256: str | None
    size_bytes: int
    source: Source
    leaves_early: bool = False


def artifact_subjects(artifacts: Sequence[Path | str], lengths: Sequence[int] | None) -> list[Subject]:
    """One subject for every artifact, in the order given.

    Args:
        artifacts: folders.
        lengths: in tokens; each artifact's fixed lengths when not given, else 128 or the longest it takes.

    Raises:
        ArtifactError: no artifact, or changed since it was exported.
        ConfigError: none or the same one twice, or a length that one of them does not take.
    """
    folders = [Path(artifact) for artifact in artifacts]
    if not folders:
        raise ConfigError("nothing to bench. Name at least one artifact folder.")
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise ConfigError("the same artifact is named twice. Name each once.")
    names = [folder.resolve().name for folder in folders]
    return [
        # Two folders of one name are told apart by the path they were given by.
        _artifact_subject(folder, name if names.count(name) == 1 else folder.as_posix(), lengths)
        for folder, name in zip(folders, names, strict=True)
    ]


def _artifact_subject(folder: Path, name: str, lengths: Sequence[int] | None) -> Subject:
    manifest = read_manifest(folder)
    refuse_changed(folder, manifest)
    fixed = {graph.length for graph in manifest.graphs if graph.length}
    longest = max(fixed, default=manifest.tokenizer.max_length)
    wanted = sorted(set(lengths) if lengths is not None else fixed or {min(DEFAULT_LENGTH, longest)})
    if wanted[-1] > longest:
        raise ConfigError(f"'{folder}' takes at most {longest} tokens, not {wanted[-1]}. Choose shorter --lengths.")
    return Subject(
        name=name,
        folder=folder,
        opener=openers.ARTIFACT,
        texts=folder,
        lengths=tuple(wanted),
        target=manifest.target,
        scheme=manifest.scheme,
        manifest_sha256=files.sha256_of(folder / MANIFEST),
        size_bytes=manifest.model_size_bytes,
        source=manifest.source,
        leaves_early=isinstance(manifest.driver, Cascade),
    )


def at_one_length(subjects: Sequence[Subject]) -> list[Subject]:
    """The same at the longest length that all take: texts that are taken as they come choose their own graph."""
    longest = min(subject.lengths[-1] for subject in subjects)
    return [replace(subject, lengths=(longest,)) for subject in subjects]


def refuse_changed(folder: Path, manifest: Manifest) -> None:
    """Make sure that numbers are tied to the bytes the manifest lists.

    Raises:
        ArtifactError: a file is missing or is not the one that was exported.
    """
    for entry in manifest.files:
        path = resolve_inside(folder, entry.path)
        if not path.is_file():
            raise ArtifactError(f"'{folder}' lacks '{entry.path}', which its manifest lists. Export it again.")
        if files.sha256_of(path) != entry.sha256:
            raise ArtifactError(
                f"'{path}' is not the file that was exported: its SHA-256 differs from the manifest's. "
                "Export it again; numbers measured on it would belong to nothing."
            )


def reference_subjects(artifacts: Sequence[Subject]) -> tuple[list[Subject], list[str]]:
    """The checkpoint behind every artifact, each once, to be timed in PyTorch.

    Returns:
        The subjects, and a sentence for each checkpoint that cannot be timed.
    """
    by_source: dict[str, list[Subject]] = {}
    for artifact in artifacts:
        by_source.setdefault(artifact.source.sha256, []).append(artifact)
    subjects, notes = [], []
    for made in by_source.values():
        name = PYTORCH if len(by_source) == 1 else f"{PYTORCH}:{Path(made[0].source.path).name}"
        try:
            subjects.append(_reference_subject(name, made))
        except EdgeDistillError as error:
            notes.append(f"No {name} row: {error}")
    return subjects, notes


def _reference_subject(name: str, made: Sequence[Subject]) -> Subject:
    artifact, source = made[0], made[0].source
    folder = _checkpoint_folder(artifact)
    return Subject(
        name=name,
        folder=folder,
        opener=openers.CHECKPOINT,
        texts=artifact.texts,
        lengths=tuple(sorted({length for subject in made for length in subject.lengths})),
        target=PYTORCH,
        scheme="fp32",
        manifest_sha256=None,
        size_bytes=sum(path.stat().st_size for path in folder.glob("*.safetensors")),
        source=source,
    )


def _checkpoint_folder(artifact: Subject) -> Path:
    """Where the very weights are now that the artifact was exported from.

    Raises:
        ArtifactError: nowhere here, or others are in their place.
        CheckpointError: what is there cannot be read.
    """
    from edgedistill.models import loading

    reasons: list[EdgeDistillError] = []
    for folder in checkpoint_folders(artifact.source, artifact.folder):
        try:
            if loading.load(folder).source.sha256 == artifact.source.sha256:
                return folder
        except CheckpointError as error:
            reasons.append(error)
            continue
        exported = f"those that '{artifact.name}' was exported from. Export it again."
        reasons.append(ArtifactError(f"the weights in '{folder}' are not {exported}"))
    if reasons:
        raise reasons[0]
    raise ArtifactError(
        f"the checkpoint '{artifact.source.path}' that '{artifact.name}' was exported from is not here. "
        "Run bench where it is, or pass --no-reference."
    )
