"""A Gradle library for Android: model, Java tokenizer, helpers, hash check, and a self-test on the goldens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from edgedistill.apps import AppConfig, Built
from edgedistill.apps.android import jvm, project, skeleton
from edgedistill.apps.android.names import refuse_module, refuse_package
from edgedistill.artifacts import Manifest

TARGETS = ("onnx", "tflite")


class Config(AppConfig):
    """Settings of the Android package."""

    app_id: Annotated[str, AfterValidator(refuse_package)] = "com.example.app"
    """Application id of the sample app; the library's namespace is below it."""
    name: Annotated[str, AfterValidator(refuse_module)] = "textmodel"
    """Of the Gradle module, its Java package and the model's folder in the assets: another for each model of an app."""
    min_sdk: int = Field(default=24, ge=24, le=99)
    """Oldest Android that is supported: 24 is Android 7."""
    target_sdk: int = Field(default=36, ge=34, le=99)
    """Android the app is written for, and compiled with."""
    asset_pack: Literal["none", "install-time", "fast-follow", "on-demand"] = "none"
    """Where the model lies: in the library, or in a Play asset pack that is delivered beside the app at that time."""
    runtime_version: str | None = Field(default=None, pattern=r"^[0-9]+(\.[0-9A-Za-z-]+){1,3}$")
    """Of ONNX Runtime or LiteRT; none for the one this edgedistill was made with in mind."""
    goldens: int = Field(default=2000, ge=1000)
    """Texts that the library's test compares the tokenizer with the Hugging Face one on."""
    java_runtime: Path | None = None
    """ONNX Runtime's Java library (a .jar) for this computer: with it the goldens are answered here, in Java."""


def build(artifact: Path, manifest: Manifest, folder: Path, cfg: Config) -> Built:
    """Write the Gradle project; run the goldens on a Java machine and check the resources where the tools are."""
    written = project.write(artifact, manifest, folder, cfg)
    checks = (*jvm.checks(written, manifest, cfg), skeleton.check(written, cfg), *project.on_a_phone())
    return Built(written.manifest.relative_to(folder), checks)
