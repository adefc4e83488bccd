"""What can be checked of an app without Gradle: its resources, manifest and assets make an APK that can be signed.

The APK holds no code: it is thrown away, and only says that Android's own tools take what the package has.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgedistill.apps import GoldenCheck

if TYPE_CHECKING:
    from edgedistill.apps.android import Config
    from edgedistill.apps.android.project import Written

TOOLS = ("aapt2", "zipalign", "apksigner", "keytool")
FRAMEWORK = Path("/usr/share/android-framework-res/framework-res.apk")
"""Android's own resources, as Debian installs them."""
_SECONDS = 300


def check(written: Written, cfg: Config) -> GoldenCheck:
    """Link, align and sign a skeleton of the sample app, where the tools are here."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    missing += [] if FRAMEWORK.is_file() else [str(FRAMEWORK)]
    where = "aapt2, zipalign, apksigner"
    if missing:
        why = f"not here: {', '.join(missing)}; run: make tools"
        return GoldenCheck(name="resources", where=where, status="not_run", reason=why)
    with tempfile.TemporaryDirectory(prefix="edgedistill-apk-") as work:
        try:
            apk = link(written, cfg, Path(work))
            fault = _packed_fault(apk, written)
        except subprocess.SubprocessError as error:
            output = (getattr(error, "stderr", None) or getattr(error, "stdout", None) or "").strip()
            fault = f"{error}: {output[-300:]}"
    return GoldenCheck(name="resources", where=where, status="failed" if fault else "passed", reason=fault)


def link(written: Written, cfg: Config, work: Path) -> Path:
    """Make a signed, aligned APK without code from the sample app's manifest and the library's resources and assets.

    Args:
        written: the project.
        cfg: its settings.
        work: an empty folder; the path may hold nothing that a tool would take for an option.

    Raises:
        subprocess.SubprocessError: a tool refused.
    """
    compiled, linked, aligned = work / "resources.zip", work / "linked.apk", work / "aligned.apk"
    _call(["aapt2", "compile", "--dir", str(written.module / "src" / "main" / "res"), "-o", str(compiled)])
    for number, manifest in enumerate((written.module, written.folder / "sample")):
        named = work / f"AndroidManifest{number}.xml"
        text = (manifest / "src" / "main" / "AndroidManifest.xml").read_text(encoding="utf-8")
        # Gradle puts the package in; aapt2 alone wants to read it.
        named.write_text(text.replace("<manifest ", f'<manifest package="{cfg.app_id}" ', 1), encoding="utf-8")
        sdk = ["--min-sdk-version", str(cfg.min_sdk), "--target-sdk-version", str(cfg.target_sdk)]
        files = ["-A", str(_assets(written)), "-0", f".{written.runtime.extension}", "--manifest", str(named)]
        _call(["aapt2", "link", "-I", str(FRAMEWORK), *sdk, *files, "-o", str(linked), str(compiled)])
    _call(["zipalign", "-p", "-f", "4", str(linked), str(aligned)])
    _call(["zipalign", "-c", "-p", "4", str(aligned)])
    _sign(aligned, work, cfg)
    return aligned


def _assets(written: Written) -> Path:
    return next(parent for parent in written.manifest.parents if parent.name == "assets")


def _sign(apk: Path, work: Path, cfg: Config) -> None:
    store = str(work / "throwaway.jks")
    password = ["-storepass", "throwaway", "-keypass", "throwaway"]
    who = ["-alias", "one", "-dname", "CN=throwaway", "-validity", "1", "-keyalg", "EC", "-keysize", "256"]
    _call(["keytool", "-genkeypair", "-keystore", store, *password, *who])
    _call(["apksigner", "sign", "--ks", store, "--ks-pass", "pass:throwaway", str(apk)])
    _call(["apksigner", "verify", "--min-sdk-version", str(cfg.min_sdk), str(apk)])


def _packed_fault(apk: Path, written: Written) -> str:
    """Whether the model lies in the APK as it is, and every other file too; empty where all is well."""
    root = _assets(written)
    with zipfile.ZipFile(apk) as opened:
        for path in sorted(path for path in root.rglob("*") if path.is_file()):
            name = f"assets/{path.relative_to(root).as_posix()}"
            if name not in opened.namelist():
                return f"'{name}' was left out of the APK"
            if (
                path.suffix == f".{written.runtime.extension}"
                and opened.getinfo(name).compress_type != zipfile.ZIP_STORED
            ):
                return f"'{name}' was compressed"
    return ""


def _call(command: Sequence[str]) -> None:
    subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True, stdin=subprocess.DEVNULL)
