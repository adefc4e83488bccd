"""First rung: the folder holds exactly the bytes its manifest names, and its parts fit together."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from edgedistill import files
from edgedistill.artifacts import (
    CALIBRATION,
    LABELS,
    FileEntry,
    Golden,
    Manifest,
    ReferenceRow,
    resolve_inside,
)
from edgedistill.data.encoding import load_tokenizer, text_rules
from edgedistill.data.tasks import TASKS
from edgedistill.errors import ArtifactError, CheckpointError
from edgedistill.gate.case import read_goldens, read_reference, stored_as
from edgedistill.gate.rungs import finding, judged
from edgedistill.reports import Finding, Rung
from edgedistill.runner import is_answer

NAME, TITLE = "files", "Every file is the one the manifest names"

_UNUSABLE = {
    "path_outside_folder",
    "missing_file",
    "truncated_file",
    "unreadable_goldens",
    "unreadable_tokenizer",
    "broken_manifest",
}


def files_rung(folder: Path, manifest: Manifest) -> Rung:
    """Check names, sizes and hashes, then what the files say about each other."""
    found = [fault for entry in manifest.files for fault in _file_faults(folder, entry)]
    found += _listing_faults(folder, manifest)
    if not {fault.name for fault in found} & {"path_outside_folder", "missing_file"}:
        found += _label_faults(folder, manifest)
        found += _vocabulary_faults(folder, manifest)
        found += _stored_answer_faults(folder, manifest)
        found += _packed_faults(folder, manifest)
    return judged(NAME, TITLE, (), found, rows=len(manifest.files))


def is_usable(rung: Rung) -> bool:
    """Whether it makes sense, and is safe, to open the model after this rung."""
    return not {fault.name for fault in rung.findings} & _UNUSABLE


def _file_faults(folder: Path, entry: FileEntry) -> Iterator[Finding]:
    try:
        path = resolve_inside(folder, entry.path)
    except ArtifactError as error:
        yield finding("path_outside_folder", str(error))
        return
    if not path.is_file():
        yield finding("missing_file", f"'{entry.path}' is in the manifest but not in the folder. Export again.")
        return
    size = path.stat().st_size
    if size < entry.size_bytes:
        yield finding(
            "truncated_file",
            f"'{entry.path}' has {size:,} of its {entry.size_bytes:,} bytes. Copy it again, or export again.",
        )
    elif size > entry.size_bytes or files.sha256_of(path) != entry.sha256:
        yield finding(
            "stale_manifest",
            f"'{entry.path}' was changed after the manifest was written (sha256 differs). "
            "Numbers measured before do not belong to it. Export again.",
        )


def _listing_faults(folder: Path, manifest: Manifest) -> Iterator[Finding]:
    listed = {entry.path: entry for entry in manifest.files}
    needed = {graph.file: "a graph" for graph in manifest.graphs}
    needed |= {manifest.tokenizer.file: "the tokenizer", "tokenizer.json": "the tokenizer"}
    for part in manifest.of_each_task():
        golden, reference = stored_as(part, manifest)
        needed[golden] = "the goldens"
        if (folder / reference).exists():
            needed[reference] = "the judged split"
    folders = {parent.as_posix() for path in listed for parent in PurePosixPath(path).parents}
    for path, what in needed.items():
        if path not in listed and path not in folders - {"."}:
            yield finding("broken_manifest", f"'{path}' ({what}) is used but not in the manifest's list of files.")
    if not manifest.graphs:
        yield finding("broken_manifest", "the manifest names no graph.")
    tokenizer = listed.get("tokenizer.json")
    if tokenizer and tokenizer.sha256 != manifest.tokenizer.sha256:
        yield finding("wrong_vocabulary", "tokenizer.json is not the one the manifest's tokenizer entry describes.")


def _vocabulary_faults(folder: Path, manifest: Manifest) -> Iterator[Finding]:
    """A phone reads the word list, the gate tokenizer.json: they must be the same vocabulary."""
    spec = manifest.tokenizer
    try:
        vocabulary = load_tokenizer(folder).get_vocab()
    except CheckpointError as error:
        yield finding("unreadable_tokenizer", str(error))
        return
    yield from _rule_faults(folder, manifest)
    if spec.kind not in ("wordpiece", "wordlist") or not spec.file.endswith(".txt"):
        return
    lines = (folder / spec.file).read_text(encoding="utf-8", errors="replace").split("\n")
    for entry, number in vocabulary.items():
        if number >= len(lines) or lines[number] != entry:
            found = repr(lines[number]) if number < len(lines) else "nothing"
            message = (
                f"line {number + 1} of '{spec.file}' is {found}; tokenizer.json has {entry!r} there. Export again."
            )
            yield finding("wrong_vocabulary", message)
            return


def _packed_faults(folder: Path, manifest: Manifest) -> Iterator[Finding]:
    """A library that reads what is packed into the model file must read the same words and labels as we do."""
    if not manifest.packed:
        return
    model = folder / manifest.graphs[0].file
    try:
        with zipfile.ZipFile(model) as packed:
            other = [name for name in manifest.packed if packed.read(name) != (folder / name).read_bytes()]
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        yield finding(
            "broken_packed_files", f"the files packed into '{model.name}' cannot be read: {error}. Export again."
        )
        return
    for name in other:
        message = f"'{name}' in '{model.name}' is not the '{name}' beside it, so MediaPipe would answer otherwise."
        yield finding("other_packed_file", f"{message} Export again.")


def _rule_faults(folder: Path, manifest: Manifest) -> Iterator[Finding]:
    """An app rebuilds the tokenizer from the manifest: it must say what tokenizer.json does."""
    rules, spec = text_rules(json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))), manifest.tokenizer
    for name, does in vars(rules).items():
        if getattr(spec, name) != does:
            message = f"the manifest says {name} is {getattr(spec, name)}, tokenizer.json does {does}. Export again."
            yield finding("wrong_normalisation", message)


def _label_faults(folder: Path, manifest: Manifest) -> Iterator[Finding]:
    path = folder / LABELS
    if manifest.labels and path.is_file():
        written = tuple(path.read_text(encoding="utf-8", errors="replace").split("\n"))
        written = written[:-1] if written and written[-1] == "" else written
        if written != manifest.labels:
            yield _label_fault(f"{LABELS} says", written, "the manifest says", manifest.labels)
    elif manifest.labels:
        yield finding("missing_file", f"the manifest has labels but the folder no {LABELS}. Export again.")
    known = TASKS.get(manifest.task.name or "")
    if known and set(known.labels) == set(manifest.labels) and known.labels != manifest.labels:
        yield _label_fault("the manifest says", manifest.labels, f"the task '{known.name}' says", known.labels)


def _label_fault(who: str, one: tuple[str, ...], other_who: str, other: tuple[str, ...]) -> Finding:
    name = "swapped_labels" if sorted(one) == sorted(other) else "other_labels"
    place = next(
        (n for n, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), min(len(one), len(other))
    )
    shown = [f"'{labels[place]}'" if place < len(labels) else "nothing" for labels in (one, other)]
    return finding(
        name, f"class {place}: {who} {shown[0]}, {other_who} {shown[1]}. Every answer would get a wrong name."
    )


def _stored_answer_faults(folder: Path, manifest: Manifest) -> Iterator[Finding]:
    for part in manifest.of_each_task():
        names = stored_as(part, manifest)
        try:
            goldens, reference = read_goldens(folder, names[0]), read_reference(folder, names[1])
        except ArtifactError as error:
            yield finding("unreadable_goldens", str(error))
            return
        yield from _golden_faults(part, goldens)
        yield from _reference_faults(part, reference)
        yield from _calibration_faults(folder, part, reference)


def _golden_faults(manifest: Manifest, goldens: tuple[Golden, ...]) -> Iterator[Finding]:
    stored = [answers for golden in goldens for answers in (golden.student, golden.artifact) if answers is not None]
    names = {tuple(answers) for answers in stored}
    if len(names) != 1 or names == {()}:
        yield finding(
            "unreadable_goldens", f"goldens do not all store the same outputs: {sorted(names)}. Export again."
        )
        return
    for number, golden in enumerate(goldens, start=1):
        if not golden.input_ids or len(golden.input_ids) != len(golden.token_type_ids):
            yield finding(
                "unreadable_goldens", f"golden {number} has no ids, or not one segment for each. Export again."
            )
            return
        artifact = golden.artifact or golden.student
        if any(len(golden.student[name]) != len(artifact[name]) for name in golden.student):
            yield finding("unreadable_goldens", f"golden {number}: student and artifact differ in shape. Export again.")
            return
    if manifest.task.kind in ("single", "pair") and manifest.labels:
        sizes = {len(values) for golden in goldens for name, values in golden.student.items() if is_answer(name)}
        if sizes != {len(manifest.labels)}:
            yield finding("other_labels", f"{len(manifest.labels)} labels for {sorted(sizes)} logits. Export again.")


def _reference_faults(manifest: Manifest, reference: tuple[ReferenceRow, ...]) -> Iterator[Finding]:
    told = {row.label: row.answer for row in reference if isinstance(row.label, int) and row.answer is not None}
    for number, name in sorted(told.items()):
        found = manifest.labels[number] if number < len(manifest.labels) else "nothing"
        if found != name:
            kind = "swapped_labels" if name in manifest.labels else "other_labels"
            message = f"class {number}: the manifest says '{found}', the stored judged split '{name}'."
            yield finding(kind, f"{message} Every answer would get a wrong name.")
            break
    ids = [row.row_id for row in reference]
    if len(set(ids)) != len(ids):
        yield finding("unreadable_goldens", "the stored judged split has the same row twice. Distil and export again.")
    if manifest.task.kind in ("single", "pair") and len({len(row.student) for row in reference}) > 1:
        yield finding("unreadable_goldens", "the stored judged split has rows with other numbers of logits.")


def _calibration_faults(folder: Path, manifest: Manifest, reference: tuple[ReferenceRow, ...]) -> Iterator[Finding]:
    """The texts must be those the scheme was calibrated on, and none of them a judge."""
    wanted = manifest.quantization.calibration_sha256 if manifest.quantization else None
    if wanted is None:
        return
    entry = next((entry for entry in manifest.files if entry.path == CALIBRATION), None)
    if entry is None or entry.sha256 != wanted:
        message = "is not the text that the scheme was calibrated on" if entry else "is missing"
        yield finding("stale_calibration", f"{CALIBRATION} {message}. Export again.")
        return
    lines = [line for line in (folder / CALIBRATION).read_text(encoding="utf-8").split("\n") if line]
    seen = {(row.get("text"), row.get("text_pair")) for row in map(json.loads, lines) if isinstance(row, dict)}
    judges = [row for row in reference if (row.text, row.text_pair) in seen]
    if judges:
        yield finding(
            "calibrated_on_judges",
            f"{len(judges)} of {len(reference)} judged rows are in {CALIBRATION}, first {judges[0].text[:60]!r}. "
            "Calibrate on other text: --task NAME takes its train split.",
        )
