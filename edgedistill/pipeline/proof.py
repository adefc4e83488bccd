"""PROOF.json and PROOF.md: what a package was made from, what the gate said of it, and where its goldens were run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edgedistill import files, reports
from edgedistill.apps import Built, GoldenCheck, Proof
from edgedistill.artifacts import Manifest, read_manifest
from edgedistill.pages.markdown_table import code, safe, table
from edgedistill.reports import Verdict

PROOF, PROOF_PAGE = "PROOF.json", "PROOF.md"


def write_proof(platform: str, manifest: Manifest, verdict: Verdict, built: Built, folder: Path) -> Proof:
    """Write both into `folder`, which holds the package otherwise complete.

    Args:
        platform: what was made.
        manifest: of the artifact.
        verdict: a passed verdict on that manifest.
        built: what the platform's module made.
        folder: the package.
    """
    shipped = {entry.path for entry in read_manifest((folder / built.manifest).parent).files}
    proof = Proof(
        platform=platform,
        judged_manifest_sha256=verdict.manifest_sha256,
        packaged_manifest=built.manifest.as_posix(),
        packaged_manifest_sha256=files.sha256_of(folder / built.manifest),
        student_sha256=manifest.source.sha256,
        parents={parent.path: parent.sha256 for parent in manifest.parents},
        left_out=tuple(entry.path for entry in manifest.files if entry.path not in shipped),
        checks=built.checks,
        verdict=verdict,
    )
    reports.save(proof, folder / PROOF)
    files.write_text(folder / PROOF_PAGE, "\n".join(_page(proof, manifest)) + "\n")
    return proof


def _page(proof: Proof, manifest: Manifest) -> Iterator[str]:
    yield f"# Proof of {safe(proof.verdict.artifact)} for {safe(proof.platform)}"
    yield ""
    yield f"The gate said **{proof.verdict.status}** of the artifact this was made from. PROOF.json has every number."
    yield from ("", "## Where the goldens were run", "")
    yield from table(("question", "where", "result", "goldens", "differ"), map(_cells, proof.checks), right=3)
    yield from ("", "`not_run` is no pass: run those on the device before you ship.", "")
    yield from ("## What the gate said", "")
    rungs = ((rung.title, rung.status, rung.reason, rung.rows) for rung in proof.verdict.rungs)
    yield from table(("step", "result", "why", "rows"), rungs, right=3)
    yield from ("", "## What it was made from", "")
    hashes = [("student", manifest.source.path, proof.student_sha256)]
    hashes += [("parent", path, sha256) for path, sha256 in proof.parents.items()]
    hashes += [("artifact's manifest", proof.verdict.artifact, proof.judged_manifest_sha256)]
    hashes += [("manifest of what ships", proof.packaged_manifest, proof.packaged_manifest_sha256)]
    yield from table(("what", "name", "SHA-256"), hashes, right=3)
    yield from ("", f"Exported by: {code(manifest.command)}", "", f"Judged by: {code(proof.verdict.command)}")
    yield from ("", f"Licence of the weights: {safe(manifest.licence)}")


def _cells(check: GoldenCheck) -> tuple[object, ...]:
    result = f"{check.status}: {check.reason}" if check.reason else check.status
    differ = ", ".join(map(str, check.differ)) or "-"
    return (f"{check.name} ({check.file})", check.where, result, check.goldens or "-", differ)
