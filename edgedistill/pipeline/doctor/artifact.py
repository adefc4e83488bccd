"""Known faults of an artifact, read from its manifest and files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edgedistill import files, reports
from edgedistill.apps import APP_CHECKS
from edgedistill.artifacts import GOLDENS, LABELS, MANIFEST, Manifest, read_manifest
from edgedistill.data.encoding import load_tokenizer
from edgedistill.errors import EdgeDistillError, MissingExtraError
from edgedistill.gate.case import read_goldens
from edgedistill.gate.files import files_rung
from edgedistill.phones.emulation import EMULATION
from edgedistill.pipeline.doctor import model_file
from edgedistill.pipeline.doctor.model import FORMATS
from edgedistill.pipeline.doctor.signs import Sign, broken, ok, warning
from edgedistill.reports import BENCHES, VERDICT, Verdict

_SAID_HERE = frozenset({"companions"})
"""Rules for files by themselves that an artifact is asked about more closely."""


def signs(folder: Path) -> Iterator[Sign]:
    """Look at the files, and at every model file with the rules."""
    try:
        manifest = read_manifest(folder)
    except EdgeDistillError as error:
        yield broken("manifest", str(error))
        return
    faults = files_rung(folder, manifest).findings
    yield ok("manifest", f"{manifest.target} {manifest.scheme}, {manifest.model_size_bytes / 1e6:.1f} MB")
    yield from (broken(fault.name, fault.message) for fault in faults)
    if not faults:
        yield ok("files", f"{len(manifest.files)} files, each with the hash it was written with")
    for name in _unlisted(folder, manifest):
        yield warning("unlisted_file", f"'{name}' is not in the manifest and will not be packaged.")
    if not faults:
        yield from _models(folder, manifest)
    yield _tokenizer(folder, manifest)
    yield _labels(folder, manifest)
    yield _goldens(folder, manifest)
    yield _verdict(folder)
    if manifest.licence == "unknown":
        yield warning("licence", "unknown. Find out what the weights' licence allows before shipping them.")


def _unlisted(folder: Path, manifest: Manifest) -> list[str]:
    listed = {entry.path for entry in manifest.files} | {MANIFEST, VERDICT, EMULATION}
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    found -= {path.name for reports in (BENCHES, APP_CHECKS) for path in folder.glob(reports)}
    return sorted(name for name in found - listed if not name.rpartition("/")[2].startswith("."))


def _models(folder: Path, manifest: Manifest) -> Iterator[Sign]:
    """What the rules for model files find, in every file that they read."""
    paths = [folder / entry.path for entry in manifest.files if entry.role == "model"]
    read = [path for path in paths if path.suffix in FORMATS and path.is_file()]
    for path in read:
        try:
            found = list(model_file.signs(path, _SAID_HERE))
        except MissingExtraError as error:
            found = [Sign(name="model_file", status="missing", detail=str(error))]
        except EdgeDistillError as error:
            found = [broken("model_file", str(error))]
        for sign in found:
            yield sign.model_copy(update={"name": f"{sign.name}, {path.name}"}) if len(read) > 1 else sign


def _tokenizer(folder: Path, manifest: Manifest) -> Sign:
    try:
        tokenizer = load_tokenizer(folder)
    except EdgeDistillError as error:
        return broken("tokenizer", str(error))
    if files.sha256_of(folder / "tokenizer.json") != manifest.tokenizer.sha256:
        return broken("tokenizer", "tokenizer.json is not the one the model was exported with. Export it again.")
    size = tokenizer.get_vocab_size()
    if size != manifest.tokenizer.vocab_size:
        return broken(
            "tokenizer", f"tokenizer.json has {size} entries; the manifest says {manifest.tokenizer.vocab_size}."
        )
    return ok("tokenizer", f"{manifest.tokenizer.kind}, {size} entries")


def _labels(folder: Path, manifest: Manifest) -> Sign:
    path = folder / LABELS
    if not manifest.labels:
        return ok("labels", "the model has none")
    if not path.is_file():
        return broken("labels", f"no {LABELS}; an app cannot name its answers. Export it again.")
    found = tuple(path.read_text(encoding="utf-8", errors="replace").removesuffix("\n").split("\n"))
    if found != manifest.labels:
        return broken("labels", f"{LABELS} says {', '.join(found)}; the manifest says {', '.join(manifest.labels)}.")
    return ok("labels", ", ".join(found[:8]) + (", ..." if len(found) > 8 else ""))


def _goldens(folder: Path, manifest: Manifest) -> Sign:
    if not (folder / GOLDENS).is_file():
        return broken("goldens", f"no {GOLDENS}; a phone has nothing to test itself with. Export it again.")
    try:
        rows = read_goldens(folder)
    except EdgeDistillError as error:
        return broken("goldens", str(error))
    highest = max((token for row in rows for token in row.input_ids), default=-1)
    if highest < 0 or highest >= manifest.tokenizer.vocab_size:
        return broken("goldens", f"{len(rows)} goldens, highest token id {highest}: not made with this vocabulary.")
    return ok("goldens", f"{len(rows)} texts with every answer")


def _verdict(folder: Path) -> Sign:
    again = f"Run: edgedistill check {folder}"
    if not (folder / VERDICT).is_file():
        return warning("verdict", f"not checked. {again}")
    try:
        verdict = reports.read(Verdict, folder / VERDICT)
    except EdgeDistillError as error:
        return broken("verdict", str(error))
    if verdict.manifest_sha256 != files.sha256_of(folder / MANIFEST):
        return warning("verdict", f"about another manifest. {again}")
    if verdict.status != "passed":
        return warning("verdict", f"{verdict.status}. {again}")
    return ok("verdict", f"passed, {verdict.created}")
