"""What would take fewer bytes: other schemes and runtimes, cut vocabularies, other shapes."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING

from edgedistill import files, plugins, reports
from edgedistill.apps.android.sizes import runtime_size
from edgedistill.artifacts import MANIFEST, Manifest, read_manifest
from edgedistill.errors import ArtifactError, ConfigError, EdgeDistillError
from edgedistill.gate.accuracy import DROP
from edgedistill.pipeline.shape_plan import ShapePlan
from edgedistill.quant.schemes import SCHEMES
from edgedistill.reports import VERDICT, Verdict

if TYPE_CHECKING:
    from edgedistill.pipeline.size_plan import AbiSizes, SizeOption

_FACTORISES = "mobilebert"
"""The recipe with a setting for how wide the word embeddings are."""
_COVERAGES = (1.0, 0.99, 0.95)
"""Shares of the training rows' tokens that keep their entries: nothing that occurs is lost, or what is rarest."""


def options(
    folder: Path, manifest: Manifest, now: AbiSizes, data: Path | None, shapes: Sequence[Path]
) -> Iterator[SizeOption]:
    """Every other way that is known here.

    Raises:
        DataError: rows that cannot be read.
        ArtifactError: a file of shapes that is none.
        ConfigError: a vocabulary that cannot be cut.
    """
    beside = list(_siblings(folder, manifest, now))
    yield from beside
    there = {(manifest.target, manifest.scheme), *((one.target, one.scheme) for one in beside)}
    yield from _not_exported_yet(folder, manifest, now, there)
    yield from _narrower_embeddings(folder, manifest, now)
    if data is not None:
        yield from _cut_vocabularies(folder, manifest, now, data)
    for path in shapes:
        yield from _shapes(path, manifest, now)


def _siblings(folder: Path, manifest: Manifest, now: AbiSizes) -> Iterator[SizeOption]:
    """Artifacts beside this one that were exported from the same student."""
    for path in sorted(folder.resolve().parent.iterdir()):
        if path == folder.resolve() or not (path / MANIFEST).is_file():
            continue
        try:
            other = read_manifest(path)
        except EdgeDistillError:
            continue  # of another version, or damaged: not one to choose
        if other.source.sha256 == manifest.source.sha256 and runtime_size(other.target, now.abi) is not None:
            model = other.model_size_bytes - manifest.model_size_bytes
            verdict, own = _verdict(path), _verdict(folder)
            yield _option(
                now, manifest, other.target, model,
                change=f"{other.target} {other.scheme}", scheme=other.scheme, basis="measured",
                score=_score(verdict), score_now=_score(own), cost=_said(verdict),
                command=f"edgedistill package {path.name} --for android --out dist",
            )  # fmt: skip


def _not_exported_yet(
    folder: Path, manifest: Manifest, now: AbiSizes, there: Set[tuple[str, str]]
) -> Iterator[SizeOption]:
    """The same student with fewer bits a weight, or as many in another runtime; told from its numbers alone."""
    for target in plugins.names("targets"):
        writes_elsewhere = manifest.driver.kind == "seq2seq" and target != manifest.target  # ONNX alone has those
        if runtime_size(target, now.abi) is None or writes_elsewhere:
            continue
        least = SCHEMES[manifest.of_weights].weights + (target != manifest.target)
        for name in plugins.load("targets", target).SCHEMES:
            scheme = SCHEMES[name]
            if (target, name) in there or scheme.is_searched or scheme.weights >= least:
                continue
            yield _option(
                now, manifest, target, _computed_bytes(folder, manifest, scheme.weights) - manifest.model_size_bytes,
                change=f"{target} {name}", scheme=name, basis="computed", cost="not_run: to be exported and checked",
                command=f"edgedistill export {shlex.quote(manifest.source.path)} --target {target} --scheme {name}",
            )  # fmt: skip


def _computed_bytes(folder: Path, manifest: Manifest, bits: int) -> int:
    """What the student's numbers take; a few per cent less than their file."""
    numbers = manifest.source.parameters
    if bits >= 8:
        return numbers * bits // 8
    table = min(numbers, manifest.tokenizer.vocab_size * (_width_told(folder) or 0))  # has no form in four bits
    return table + (numbers - table) * (bits + 1) // 8  # a scale of 32 bits for every 32 numbers


def _verdict(folder: Path) -> Verdict | None:
    """What the gate said of an artifact as it is; none where it was not asked, or before the artifact was changed."""
    try:
        verdict = reports.read(Verdict, folder / VERDICT)
    except ArtifactError:
        return None
    return verdict if verdict.manifest_sha256 == files.sha256_of(folder / MANIFEST) else None


def _said(verdict: Verdict | None) -> str:
    return "not_run: not checked as it is" if verdict is None else f"gate: {verdict.status}"


def _score(verdict: Verdict | None) -> float | None:
    """The artifact's own metric on the judged rows, where the gate measured it."""
    rungs = [] if verdict is None else [rung for rung in verdict.rungs if rung.name == DROP]
    found = [measure.value for rung in rungs for measure in rung.measures if measure.name.startswith("artifact_")]
    return found[0] if found else None


def _cut_vocabularies(folder: Path, manifest: Manifest, now: AbiSizes, data: Path) -> Iterator[SizeOption]:
    from edgedistill.pipeline.size_vocabulary import measured_cuts

    width, bits = _embedding_width(folder), max(8, SCHEMES[manifest.scheme].weights)
    scale = 4 if bits <= 8 else 0
    task = manifest.task.name or "TASK"
    for cut in measured_cuts(folder, manifest, data, _COVERAGES):
        gone = manifest.tokenizer.vocab_size - cut.entries
        fewer = gone * (width * bits // 8 + scale) + cut.vocabulary_bytes_saved
        asked = f"--data {shlex.quote(str(data))} --set vocabulary.coverage={cut.asked:g}"
        yield _option(
            now, manifest, manifest.target, -fewer,
            change=f"{cut.entries:,} of {manifest.tokenizer.vocab_size:,} entries", scheme=manifest.scheme,
            basis="computed", coverage=cut.coverage, score=cut.score, score_now=cut.score_now,
            cost="measured before it is trained with" if cut.score is not None else "not_run: no labelled rows",
            command=f"edgedistill distill {manifest.recipe or 'RECIPE'} --task {task} {asked}",
        )  # fmt: skip


def _narrower_embeddings(folder: Path, manifest: Manifest, now: AbiSizes) -> Iterator[SizeOption]:
    """Half as many numbers a word, where the recipe factorises its embeddings."""
    if manifest.recipe != _FACTORISES or not (folder / "config.json").is_file():
        return
    width = _embedding_width(folder)
    bits = max(8, SCHEMES[manifest.scheme].weights)
    yield _option(
        now, manifest, manifest.target, -(manifest.tokenizer.vocab_size * (width - width // 2) * bits // 8),
        change=f"{width // 2} numbers a word for {width}", scheme=manifest.scheme, basis="computed",
        cost="not_run: to be trained",
        command=f"edgedistill distill {manifest.recipe} --task {manifest.task.name} --set embedding_size={width // 2}",
    )  # fmt: skip


def _embedding_width(folder: Path) -> int:
    """Numbers a word, as the model's config.json says.

    Raises:
        ConfigError: it does not.
    """
    width = _width_told(folder)
    if width is None:
        raise ConfigError(
            f"'{folder / 'config.json'}' does not say how wide the word embeddings are. Leave --data out."
        )
    return width


def _width_told(folder: Path) -> int | None:
    if not (folder / "config.json").is_file():
        return None
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    width = config.get("embedding_size") or config.get("hidden_size") or config.get("dim")
    return width if isinstance(width, int) else None


def _shapes(path: Path, manifest: Manifest, now: AbiSizes) -> Iterator[SizeOption]:
    """Students that `plan` listed, each in every scheme it computed."""
    plan = reports.read(ShapePlan, path)
    if runtime_size(plan.target, now.abi) is None:
        raise ArtifactError(f"'{path}' is a plan for '{plan.target}', a runtime whose size is not known here.")
    for row in plan.rows:
        for scheme, size in row.computed_bytes.items():
            is_measured = scheme == plan.scheme and row.measured_bytes is not None
            model = row.measured_bytes if is_measured and row.measured_bytes is not None else size
            settings = " ".join(f"--set {name}={value}" for name, value in sorted(row.settings.items()))
            yield _option(
                now, manifest, plan.target, model - manifest.model_size_bytes,
                change=f"shape {row.name}", scheme=scheme, basis="measured" if is_measured else "computed",
                cost="another student: to be trained", command=f"edgedistill distill {plan.recipe} {settings}",
            )  # fmt: skip


def _option(now: AbiSizes, manifest: Manifest, target: str, model_bytes: int, **facts: object) -> SizeOption:
    """What the app takes with a model of so many bytes more, in that runtime, where it is weighed now."""
    from edgedistill.pipeline.size_plan import SizeOption

    other, own = (runtime_size(runtime, now.abi) for runtime in (target, manifest.target))
    assert other is not None
    assert own is not None
    return SizeOption.model_validate(
        {"target": target, "bytes": now.bytes + model_bytes + other.bytes - own.bytes, **facts}
    )
