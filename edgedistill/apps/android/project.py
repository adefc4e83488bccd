"""The Gradle project: templates filled in, the model in its assets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgedistill import files
from edgedistill.apps import GoldenCheck
from edgedistill.apps._shipping import ship_with_kit
from edgedistill.apps._templates import fill, fill_file
from edgedistill.apps._texts import golden_cases
from edgedistill.apps._tokenizer import GOLDENS, copy_sources, write_goldens
from edgedistill.apps.android.names import android_string, java_constants, java_text, refuse_asset_names
from edgedistill.artifacts import Manifest
from edgedistill.data.encoding import load_tokenizer
from edgedistill.errors import ConfigError

if TYPE_CHECKING:
    from edgedistill.apps.android import Config

_TEMPLATES = Path(__file__).parent / "project"
_LIBRARY = "edgedistill"
"""Module that all models share, and the folder of theirs in the assets."""
_RUNS = ("single", "buckets", "cascade", "heads")


@dataclass(frozen=True)
class _Runtime:
    """What a target needs of Gradle.

    Attributes:
        opener: the Java class that opens its graphs.
        module: Maven coordinates without the version.
        version: of it, where none is asked for.
        extension: of its model files.
        notice: its licence.
    """

    opener: str
    module: str
    version: str
    extension: str
    notice: str


RUNTIMES = {
    "onnx": _Runtime(
        "OnnxRuntime",
        "com.microsoft.onnxruntime:onnxruntime-android",
        "1.22.0",
        "onnx",
        "ONNX Runtime: Copyright (c) Microsoft Corporation, MIT licence, https://github.com/microsoft/onnxruntime",
    ),
    "tflite": _Runtime(
        "LiteRt",
        "com.google.ai.edge.litert:litert",
        "1.4.0",
        "tflite",
        "LiteRT: Copyright The TensorFlow Authors, Apache License 2.0, https://github.com/google-ai-edge/LiteRT",
    ),
}
_EXAMPLES = {
    "span": 'val answer = model.questionAnswerer().answer("Who?", "The text it is in.")',
    "embedding": 'val vector = model.embedder().embed("A text.")',
    "tokens": 'val tags = model.tagger().tag("A text.")',
    "regression": 'val score = model.scorer().score("A text.", null)',
    "ranking": 'val order = model.scorer().rank("A question?", listOf("one", "other"))',
    "pair": 'val labels = model.classifier().classify("A text.", "Another.")',
}
_CLASSIFIES = 'val labels = model.classifier().classify("A text.")  // labels[0].name, labels[0].probability'


@dataclass(frozen=True)
class Written:
    """What was written, and where.

    Attributes:
        folder: the Gradle project.
        module: the model's folder in it.
        library: of the code that all models share.
        opener: of what opens graphs in the runtime, which models of one runtime share.
        manifest: of what ships, in the assets.
        runtime: of the artifact's target.
    """

    folder: Path
    module: Path
    library: Path
    opener: Path
    manifest: Path
    runtime: _Runtime

    @property
    def goldens(self) -> Path:
        """Of the tokenizer, for the tests alone."""
        return self.module / "src" / "test" / "resources" / GOLDENS


def write(artifact: Path, manifest: Manifest, folder: Path, cfg: Config) -> Written:
    """Write the project into an empty folder: three modules, a sample app, and an asset pack where one is asked for.

    What is one model's carries its name, so that an app may have several; the other two modules they share.

    Raises:
        ConfigError: names that cannot be, a model that no app runs, or a tokenizer that Java has not.
    """
    _refuse(manifest)
    module, has_pack, pack = folder / cfg.name, cfg.asset_pack != "none", f"{cfg.name}_pack"
    library, opener = folder / _LIBRARY, folder / _runtime_module(manifest)
    inside = f"src/main/assets/{_LIBRARY}/{cfg.name}"
    shipped = ship_with_kit(artifact, manifest, (folder / pack if has_pack else module) / inside)
    filled = _words(manifest, cfg, RUNTIMES[manifest.target]) | {
        "MANIFEST_SHA256": files.sha256_of(shipped),
        "ASSETS_PATH": f"../{pack}/{inside}" if has_pack else inside,
    }
    fill(_TEMPLATES / "model", module, filled)
    for sources in ("main", "test", "androidTest"):
        fill(_TEMPLATES / "sources" / sources, module / "src" / sources / "java" / _folder_of(_package(cfg)), filled)
    fill(_TEMPLATES / "library", library, filled)
    copy_sources("java", library / "src" / "main" / "java")
    fill(_TEMPLATES / "runtime", opener, filled, skip=("src/onnx", "src/tflite"))
    fill(_TEMPLATES / "runtime" / "src" / manifest.target, opener / "src" / "main", filled)
    fill(_TEMPLATES / "sample", folder / "sample", filled)
    if has_pack:
        fill(_TEMPLATES / "pack", folder / pack, filled)
    for path in sorted(_TEMPLATES.iterdir()):
        if path.is_file():
            fill_file(path, folder / path.name, filled)
    written = Written(folder, module, library, opener, shipped, RUNTIMES[manifest.target])
    written.goldens.parent.mkdir(parents=True)
    cases = golden_cases(cfg.goldens, manifest.tokenizer.max_length)
    write_goldens(load_tokenizer(artifact), cases, written.goldens)
    return written


def on_a_phone() -> tuple[GoldenCheck, ...]:
    """What no computer without an Android tool chain and a phone can answer."""
    build = "Gradle and the Android SDK are needed; run: gradle assembleDebug"
    phone = "a phone or an emulator is needed; run: gradle connectedAndroidTest"
    return (
        GoldenCheck(name="build", where="Gradle", status="not_run", reason=build),
        GoldenCheck(name="answers", where="Android phone", status="not_run", reason=phone),
    )


def _refuse(manifest: Manifest) -> None:
    refuse_asset_names(entry.path for entry in manifest.files)
    if manifest.driver.kind not in _RUNS:
        raise ConfigError(
            f"the Android library cannot run a '{manifest.driver.kind}' model; it runs {', '.join(_RUNS)}. "
            "Use --for files and bring the loop that writes the text."
        )


def _words(manifest: Manifest, cfg: Config, runtime: _Runtime) -> dict[str, str]:
    title = f"Self-test: {manifest.task.name or manifest.task.kind}"
    constants = java_constants(manifest.labels)
    pack = f"{cfg.name}_pack" if cfg.asset_pack != "none" else ""
    return {
        "NAME": cfg.name,
        "APP_ID": cfg.app_id,
        "PACKAGE": _package(cfg),
        "MIN_SDK": str(cfg.min_sdk),
        "TARGET_SDK": str(cfg.target_sdk),
        "EXTENSION": runtime.extension,
        "TARGET": manifest.target,
        "RUNTIME": f"{runtime.module}:{cfg.runtime_version or runtime.version}",
        "RUNTIME_MODULE": _runtime_module(manifest),
        "RUNTIME_NOTICE": runtime.notice,
        "OPENER": runtime.opener,
        "ASSETS": f"{_LIBRARY}/{cfg.name}",
        "TITLE": android_string(title),
        "TITLE_MD": cfg.name,
        "LABELS": "".join(f'    public static final String {k} = "{java_text(v)}";\n' for k, v in constants.items()),
        "LICENCE": " ".join(manifest.licence.split()) or "unknown",
        "EXAMPLE": f"        {_EXAMPLES.get(manifest.task.kind, _CLASSIFIES)}",
        "DELIVERY": cfg.asset_pack,
        "PACK_INCLUDE": f', ":{pack}"' if pack else "",
        "PACK_USE": f'\n    assetPacks = [":{pack}"]' if pack else "",
        "PACK_COPY": _pack_words(pack, cfg.asset_pack),
    }


def _pack_words(pack: str, delivery: str) -> str:
    if not pack:
        return ""
    later = " and open the model with `BundledModel.open(File(assetsPath), threads)`" * (delivery != "install-time")
    return f' and `{pack}/` (with `assetPacks = [":{pack}"]` in your app\'s `android` block{later})'


def _package(cfg: Config) -> str:
    """The Java package of what is this model's own."""
    return f"{cfg.app_id}.{cfg.name}"


def _folder_of(package: str) -> str:
    return package.replace(".", "/")


def _runtime_module(manifest: Manifest) -> str:
    return f"{_LIBRARY}_{manifest.target}"
