"""A Swift package for iOS and macOS: model, Swift tokenizer, hash check, and XCTest on the goldens."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from edgedistill import files
from edgedistill.apps import AppConfig, Built, GoldenCheck
from edgedistill.apps._shipping import ship_with_kit
from edgedistill.apps._templates import fill
from edgedistill.apps._texts import golden_cases
from edgedistill.apps._tokenizer import GOLDENS, copy_sources, write_goldens, write_kit
from edgedistill.artifacts import Heads, Manifest, read_manifest
from edgedistill.data.encoding import load_tokenizer
from edgedistill.errors import ConfigError

TARGETS = ("coreml", "onnx")
_TEMPLATES = Path(__file__).parent / "project"
_EXAMPLES = {
    "single": 'let labels = try model.classify("A text.")',
    "pair": 'let labels = try model.classify("A text.", pair: "Another.")',
    "regression": 'let score = try model.score("A text.")',
    "ranking": 'let score = try model.score("A question?", pair: "A candidate.")',
    "span": 'let found = try model.answer("Who?", in: "The text it is in.")',
    "tokens": 'let tags = try model.tag("A text.")',
    "embedding": 'let direction = try model.embed("A text.")',
}
"""What Swift is asked, by the task's kind."""
_RUNS = ("single", "buckets", "heads", "cascade")
_PARTS = ("Package.swift", "Sources/EdgeTokenizer", "Tests/EdgeModelTests", "Tests/EdgeTokenizerTests/Resources")
_ORT = "https://github.com/microsoft/onnxruntime-swift-package-manager"


@dataclass(frozen=True)
class _Runtime:
    """What a target needs of a Swift package.

    Attributes:
        session: the Swift type that opens its graphs.
        dependencies: in Package.swift.
        products: of them, for the library.
        notice: its licence.
    """

    session: str
    dependencies: str
    products: str
    notice: str


_RUNTIMES = {
    "coreml": _Runtime("CoreMLSession", "", "", "Core ML is part of the system."),
    "onnx": _Runtime(
        "OnnxSession",
        f'.package(url: "{_ORT}", from: "1.20.0")',
        ', .product(name: "onnxruntime", package: "onnxruntime-swift-package-manager")',
        f"ONNX Runtime: Copyright (c) Microsoft Corporation, MIT licence, {_ORT}",
    ),
}


class Config(AppConfig):
    """Settings of the Swift package."""

    goldens: int = Field(2000, ge=1000)
    """Texts that its tests compare the tokenizer with the Hugging Face one on."""


def build(artifact: Path, manifest: Manifest, folder: Path, cfg: Config) -> Built:
    """Write the package and check that all its parts are there; nothing in it can be compiled without Apple's tools."""
    _refuse(manifest)
    runtime, source = _RUNTIMES[manifest.target], folder / "Sources" / "EdgeModel"
    shipped = ship_with_kit(artifact, manifest, source / "Model")
    fill(_TEMPLATES, folder, _words(manifest, runtime, files.sha256_of(shipped)), skip=tuple(_RUNTIMES))
    fill(_TEMPLATES / manifest.target, source, {})
    copy_sources("swift", folder)
    tested = folder / "Tests" / "EdgeTokenizerTests" / "Resources"  # of the tests alone: no app ships them
    write_kit(artifact, manifest, tested)
    cases = golden_cases(cfg.goldens, manifest.tokenizer.max_length)
    write_goldens(load_tokenizer(artifact), cases, tested / GOLDENS)
    reason = "a Mac with Xcode is needed; run: swift test"
    checks = (
        structure(folder, shipped),
        GoldenCheck(
            name="tokenizer",
            where="Swift",
            status="not_run",
            reason=reason,
            file=(tested / GOLDENS).relative_to(folder).as_posix(),
        ),
        GoldenCheck(name="answers", where="Swift", status="not_run", reason=reason),
    )
    return Built(shipped.relative_to(folder), checks)


def structure(folder: Path, shipped: Path) -> GoldenCheck:
    """Whether the package's targets, the manifest's files and the Core ML package's own parts are all there."""
    wanted = [folder / name for name in _PARTS]
    missing = [path.name for path in wanted if not path.exists()]
    for entry in read_manifest(shipped.parent).files:
        path = shipped.parent / entry.path
        if not path.is_file() or files.sha256_of(path) != entry.sha256:
            missing.append(entry.path)
    for package in sorted(shipped.parent.glob("*.mlpackage")):
        missing += _missing_items(package)
    status = "failed" if missing else "passed"
    reason = f"missing or changed: {', '.join(missing)}" if missing else ""
    return GoldenCheck.model_validate(
        {"name": "structure", "where": "the package's files", "status": status, "reason": reason}
    )


def _missing_items(package: Path) -> list[str]:
    """What an .mlpackage lists and has not."""
    try:
        items = json.loads((package / "Manifest.json").read_text(encoding="utf-8"))["itemInfoEntries"].values()
        paths = [package / "Data" / item["path"] for item in items]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return [f"{package.name}/Manifest.json ({type(error).__name__})"]
    return [path.relative_to(package).as_posix() for path in paths if not path.exists()]


def _refuse(manifest: Manifest) -> None:
    if manifest.driver.kind not in _RUNS or manifest.task.kind not in _EXAMPLES:
        raise ConfigError(
            f"--for ios answers {', '.join(_EXAMPLES)} with the drivers {', '.join(_RUNS)}; this artifact is of the "
            f"kind '{manifest.task.kind}' with the driver '{manifest.driver.kind}'. Use --for files and your own code."
        )


def _example(manifest: Manifest) -> str:
    """A line of Swift for the README; names of tasks stay out of it, for they may be anything."""
    if isinstance(manifest.driver, Heads):
        return "let kinds = model.heads.map { ($0.name, $0.kind) }  // classify and score take a `task:`, its name"
    return _EXAMPLES[manifest.task.kind]


def _words(manifest: Manifest, runtime: _Runtime, sha256: str) -> dict[str, str]:
    has_functions = manifest.target == "coreml" and len(manifest.graphs) > 1
    oldest = ("18", "15") if has_functions else ("16", "13")
    return {
        "IOS": oldest[0],
        "MACOS": oldest[1],
        "DEPENDENCIES": runtime.dependencies,
        "PRODUCTS": runtime.products,
        "SESSION": runtime.session,
        "EXAMPLE": _example(manifest),
        "RUNTIME_NOTICE": runtime.notice,
        "MANIFEST_SHA256": sha256,
        "LICENCE": " ".join(manifest.licence.split()) or "unknown",
    }
