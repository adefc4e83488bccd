"""What goes into an app: one module per platform, the files of an artifact that ship, and the proof beside them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from edgedistill import reports
from edgedistill.artifacts import GOLDENS, MANIFEST, Manifest, resolve_inside
from edgedistill.config import Settings
from edgedistill.reports import Verdict

APP_CHECKS = "app-*.json"
"""Reports within an artifact of what its apps answered; the star is the platform."""
STAYS_HOME = ("reference", "calibration")
"""Roles of files that never ship."""


class AppConfig(Settings):
    """Base of every platform's settings."""


class GoldenCheck(Settings):
    """The goldens of one file, asked one question in one place."""

    name: str
    """What was asked: `files`, `tokenizer` or `answers`, say."""
    where: str
    """Language, runtime or machine it was asked in."""
    status: Literal["passed", "failed", "not_run"]
    """Whether all of them agreed."""
    reason: str = ""
    """Why it failed or was not run."""
    file: str = GOLDENS
    """The goldens, within the artifact."""
    goldens: int = 0
    """How many were asked."""
    differ: tuple[int, ...] = ()
    """Line numbers of those that did not agree, from 1."""


def answered(name: str, where: str, file: str, asked: int, differ: Sequence[int] = (), why: str = "") -> GoldenCheck:
    """The check that says what came out: passed only where goldens were asked, and all of them agreed.

    Args:
        name: what was asked.
        where: it was.
        file: the goldens.
        asked: how many goldens were.
        differ: line numbers of those that came out otherwise, from 1.
        why: what went wrong; with it nothing passes.
    """
    is_same = asked > 0 and not differ and not why
    counted = f"{len(differ)} of {asked} differ. " if asked else ""
    return GoldenCheck(
        name=name,
        where=where,
        status="passed" if is_same else "failed",
        reason="" if is_same else f"{counted}{why}".strip() or "no golden was asked",
        file=file,
        goldens=asked,
        differ=tuple(differ),
    )


def not_run(files: Mapping[str, str], where: str, reason: str) -> tuple[GoldenCheck, ...]:
    """The checks of questions that were not asked somewhere.

    Args:
        files: the goldens of each question, by its name.
        where: they were not asked.
        reason: why.
    """
    return tuple(
        GoldenCheck(name=name, where=where, status="not_run", reason=reason, file=file) for name, file in files.items()
    )


class AppChecks(Settings):
    """What the goldens of one artifact came to in an app: `package` leaves it there for the next `check`."""

    schema_version: Literal[1] = 1
    """Version of this format."""
    platform: str
    """What it was packaged for."""
    manifest_sha256: str
    """Of the artifact's manifest, tying the checks to the bytes."""
    checks: tuple[GoldenCheck, ...]
    """Where the goldens were run, and what came out."""


class Proof(Settings):
    """Why a package may be trusted: what it was made from, what the gate said, and where its goldens were run."""

    schema_version: Literal[2] = 2
    """Version of this format."""
    platform: str
    """What it was packaged for."""
    judged_manifest_sha256: str
    """Of the artifact's own manifest, which the verdict is about."""
    packaged_manifest: str
    """Where the manifest of what ships lies in the package."""
    packaged_manifest_sha256: str
    """Of that manifest, which lists only what ships."""
    student_sha256: str
    """Of the weights that were exported."""
    parents: dict[str, str]
    """What the student was made from (its teacher, and theirs) and the hashes of those weights."""
    left_out: tuple[str, ...]
    """Files of the artifact that do not ship."""
    checks: tuple[GoldenCheck, ...]
    """Where the goldens were run, and what came out."""
    verdict: Verdict
    """What the gate said."""


@dataclass(frozen=True)
class Built:
    """What a platform made.

    Attributes:
        manifest: where the manifest of what ships lies, within the package.
        checks: every place where the goldens could be run, with what came out.
    """

    manifest: Path
    checks: tuple[GoldenCheck, ...]


class App(Protocol):
    """What a platform's module has. Its docstring's first line says what `package --for` makes."""

    @property
    def Config(self) -> type[Any]:
        """Its settings, an `AppConfig`."""
        ...

    @property
    def TARGETS(self) -> tuple[str, ...]:
        """Targets whose artifacts it takes; empty: of every one."""
        ...

    def build(self, artifact: Path, manifest: Manifest, folder: Path, cfg: Any) -> Built:
        """Write the package into `folder`, and run its goldens wherever that can be done here.

        The same artifact and settings give the same bytes. PROOF.json and PROOF.md are not its business.

        Args:
            artifact: folder that passed its gate and is unchanged since.
            manifest: of the artifact.
            folder: an empty folder.
            cfg: the platform's `Config`.

        Raises:
            ConfigError: the artifact is of a kind that the platform does not take.
        """
        ...


def ship(artifact: Path, manifest: Manifest, folder: Path) -> Path:
    """Copy what ships of an artifact into `folder`, and write the manifest of just that beside it.

    Args:
        artifact: folder whose files were compared with `manifest`.
        manifest: of the artifact.
        folder: made if it is not there.

    Returns:
        The manifest that was written.
    """
    shipping = tuple(entry for entry in manifest.files if entry.role not in STAYS_HOME)
    for entry in shipping:
        destination = folder / entry.path
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(resolve_inside(artifact, entry.path), destination)
    return reports.save(manifest.model_copy(update={"files": shipping}), folder / MANIFEST)
