"""`edgedistill package --plan`: where an app's megabytes go, whether they keep a budget, and what would take fewer."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from edgedistill import files
from edgedistill.apps._shipping import ship_with_kit
from edgedistill.apps.android.sizes import PHONE, Basis, runtime_size, runtime_sizes
from edgedistill.artifacts import MANIFEST, FileEntry, Manifest, read_manifest
from edgedistill.config import Settings
from edgedistill.errors import ArtifactError, ConfigError
from edgedistill.gate.files import files_rung
from edgedistill.pipeline.shape_plan import bytes_of

PartName = Literal["runtime", "model", "vocabulary", "other"]
_OWN: tuple[PartName, ...] = ("model", "vocabulary", "other")
_WEIGHED = {"files": PHONE, "android": PHONE, "web": "web"}
"""Where a package of each platform is weighed; of the others no runtime's size in an app is known."""


class SizePart(Settings):
    """One part of what an app takes in."""

    name: PartName
    """runtime: native libraries. other: labels, goldens, manifest."""
    bytes: int
    """As it lies on the phone."""
    gzip_bytes: int | None
    """Under gzip, about what is downloaded; none where nobody measured it."""
    basis: Basis
    """measured: of these very files. published: somebody else's number. estimated: of a build near this one."""
    source: str
    """Where the number is from."""


class AbiSizes(Settings):
    """What an app takes on one kind of processor."""

    abi: str
    """Android's name of it; `web` for browsers."""
    parts: tuple[SizePart, ...]
    """Largest first."""

    @property
    def bytes(self) -> int:
        """All parts together, as they lie on the phone."""
        return sum(part.bytes for part in self.parts)

    @property
    def gzip_bytes(self) -> int | None:
        """All parts together under gzip; none where one of them is not known."""
        each = [part.gzip_bytes for part in self.parts]
        return None if None in each else sum(one for one in each if one is not None)


class SizeOption(Settings):
    """Another way to have the model, and what it takes on a phone."""

    change: str
    """What is other than now."""
    target: str
    """Runtime."""
    scheme: str
    """Precision."""
    bytes: int
    """Runtime, model, vocabulary and the rest, on a phone."""
    basis: Literal["measured", "computed"]
    """Whether the model file is there, or its bytes were computed."""
    coverage: float | None = None
    """Share of the judged rows' tokens whose entries are kept; none where none is cut."""
    score: float | None = None
    """Of the task's metric on the judged rows, where it was measured: of a cut vocabulary before it is trained with."""
    score_now: float | None = None
    """Of the artifact as it is, on the same rows."""
    cost: str = ""
    """What is known of what it does to the answers."""
    command: str = ""
    """What to type for it."""
    fits: bool | None = None
    """Whether it keeps the budget; none without one."""


class SizePlan(Settings):
    """Where the megabytes go, and what would take fewer."""

    schema_version: Literal[1] = 1
    """Version of this format."""
    artifact: str
    """Folder name."""
    manifest_sha256: str
    """Of its manifest, tying the numbers to the bytes."""
    target: str
    """Runtime."""
    scheme: str
    """Precision."""
    abis: tuple[AbiSizes, ...]
    """One for each processor the runtime's size is known on, first the one that the budget is for."""
    budget_bytes: int | None = None
    """Most bytes there; none for any."""
    fits: bool | None = None
    """Whether the artifact keeps it; none without one."""
    options: tuple[SizeOption, ...] = ()
    """Smallest first."""
    notes: tuple[str, ...] = ()
    """What the numbers do not say."""


def size_plan(
    artifact: Path | str,
    *,
    platform: str = "android",
    budget: str | None = None,
    data: Path | None = None,
    shapes: Sequence[Path] = (),
) -> SizePlan:
    """Say what an artifact takes in an app on a phone, or on a page of the web.

    Args:
        artifact: folder made by `export`.
        platform: what it is packaged for.
        budget: most bytes there, such as 12MB; none for any.
        data: folder of the task's rows: vocabularies cut to its training rows become options.
        shapes: files that `edgedistill plan --json` printed: their shapes become options.

    Raises:
        ArtifactError: a file is missing or changed, or a runtime whose size is not known.
        ConfigError: a budget that is no size, or for a platform whose runtime's size is not known.
        DataError: rows that cannot be read.
    """
    from edgedistill.pipeline.size_options import options

    most = bytes_of(budget) if budget is not None else None
    folder = Path(artifact)
    manifest = read_manifest(folder)
    if faults := files_rung(folder, manifest).findings:
        raise ArtifactError(f"'{folder}' is not as it was exported. {faults[0].name}: {faults[0].message}")
    known = _abis(manifest.target, _abi_of(platform, most))
    own = _own_parts(folder, manifest)
    abis = tuple(_with_runtime(own, manifest.target, abi) for abi in known)
    now = abis[0]
    found = sorted(options(folder, manifest, now, data, shapes), key=lambda one: one.bytes)
    return SizePlan(
        artifact=folder.resolve().name,
        manifest_sha256=files.sha256_of(folder / MANIFEST),
        target=manifest.target,
        scheme=manifest.scheme,
        abis=abis,
        budget_bytes=most,
        fits=None if most is None else now.bytes <= most,
        options=tuple(one.model_copy(update={"fits": None if most is None else one.bytes <= most}) for one in found),
        notes=tuple(_notes(manifest, now.abi)),
    )


def _abi_of(platform: str, budget: int | None) -> str:
    """Where a package of the platform is weighed."""
    if budget is not None and platform not in _WEIGHED:
        raise ConfigError(
            f"a budget is weighed for {', '.join(_WEIGHED)}; how large the runtime of '{platform}' is in an app is not "
            "known here. Leave --budget out, and weigh what is made."
        )
    return _WEIGHED.get(platform, PHONE)


def _own_parts(artifact: Path, manifest: Manifest) -> tuple[SizePart, ...]:
    """What the artifact brings, measured as it is packaged."""
    with tempfile.TemporaryDirectory(prefix="edgedistill-sizes-") as place:
        shipped = ship_with_kit(artifact, manifest, Path(place))
        names = {entry.path: _part_of(entry) for entry in read_manifest(shipped.parent).files} | {MANIFEST: "other"}
        return tuple(_measured(part, [Path(place, name) for name in names if names[name] == part]) for part in _OWN)


def _measured(name: PartName, paths: Sequence[Path]) -> SizePart:
    return SizePart(
        name=name,
        bytes=sum(path.stat().st_size for path in paths),
        gzip_bytes=sum(len(gzip.compress(path.read_bytes(), 6, mtime=0)) for path in paths),
        basis="measured",
        source="the artifact's files as they are packaged",
    )


def _part_of(entry: FileEntry) -> PartName:
    if entry.role == "model":
        return "model"
    return "vocabulary" if entry.role == "tokenizer" else "other"


def _with_runtime(own: Sequence[SizePart], target: str, abi: str) -> AbiSizes:
    size = runtime_size(target, abi)
    assert size is not None
    source = f"{size.basis}: {target} {size.version}, {size.source}"
    runtime = SizePart(name="runtime", bytes=size.bytes, gzip_bytes=size.gzip_bytes, basis=size.basis, source=source)
    return AbiSizes(abi=abi, parts=tuple(sorted((*own, runtime), key=lambda part: -part.bytes)))


def _abis(target: str, first: str) -> list[str]:
    """Processors the runtime's size is known on."""
    known = {row.abi for row in runtime_sizes() if row.runtime == target}
    if first not in known:
        raise ArtifactError(
            f"the size of the runtime of '{target}' on {first} is not in edgedistill's table, which knows: "
            f"{', '.join(sorted({row.runtime for row in runtime_sizes()}))}. Plan with an artifact of one of those."
        )
    return sorted(known, key=lambda abi: (abi != first, abi != PHONE, abi))


def _notes(manifest: Manifest, abi: str) -> list[str]:
    notes = [
        f"The budget is compared with what lies on {abi}; stores deliver one processor's libraries only.",
        "gzip is about what is downloaded; stores compress a little better.",
        "The app's own code and the runtime's Java classes (ONNX Runtime 1.17: 0.2 MB) are not counted.",
    ]
    if (row := runtime_size(manifest.target, abi)) is not None and row.basis != "measured":
        notes.append(
            f"The runtime's size on a phone is {row.basis}: no registry within reach has its Android build. Measure "
            "the .so in your own APK before you decide."
        )
    return notes
