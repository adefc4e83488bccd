"""A static folder for the web: a page, an ES module, ONNX Runtime Web and the model; nothing leaves the browser."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from pydantic import Field

from edgedistill import files
from edgedistill.apps import AppConfig, Built
from edgedistill.apps._shipping import ship_with_kit
from edgedistill.apps._texts import golden_cases
from edgedistill.apps._tokenizer import GOLDENS, copy_sources, write_goldens
from edgedistill.apps.web.proof import run_goldens
from edgedistill.apps.web.runtime import PACKAGE, VERSION, write_runtime
from edgedistill.artifacts import Manifest, read_manifest
from edgedistill.data.encoding import load_tokenizer
from edgedistill.errors import ConfigError

TARGETS = ("onnx",)
KINDS = ("single", "pair", "regression", "ranking", "span", "embedding")
"""Tasks the page can show an answer of."""
DRIVERS = ("single", "buckets", "heads", "cascade")
STATIC = Path(__file__).parent / "static"
_IN_TESTS = {"tests.html": "index.html", "selftest.js": "", "bench.js": "", "goldens.js": "", "check.mjs": ""}
"""Static files that go to tests/, some under another name."""
_NOTICE = """This package holds {package} {version} (ONNX Runtime Web), under the MIT License:

Copyright (c) Microsoft Corporation

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.

Page, modules and tokenizer: edgedistill, Apache-2.0.
Licence of the model's weights, as their card states it: {licence}
"""


class Config(AppConfig):
    """Settings of the web package."""

    title: str = ""
    """Heading of the page; empty: the task's name."""
    goldens: int = Field(2000, ge=1000)
    """Texts the tokenizer is compared with the Hugging Face one on."""
    runtime: Path | None = None
    """Archive of the pinned ONNX Runtime Web; none: fetched with npm, and kept in the user's cache."""


def build(artifact: Path, manifest: Manifest, folder: Path, cfg: Config) -> Built:
    """Write the folder, and run its goldens in Node where that is installed.

    Raises:
        ConfigError: a task, driver or tokenizer that the page cannot run.
        DeviceError: the runtime cannot be had.
    """
    _refuse_unfit(manifest)
    shipped = ship_with_kit(artifact, manifest, folder / "model")
    write_runtime(folder / "runtime", cfg.runtime)
    for path in sorted(STATIC.iterdir()):
        into = folder / "tests" if path.name in _IN_TESTS else folder
        into.mkdir(exist_ok=True)
        shutil.copyfile(path, into / (_IN_TESTS.get(path.name) or path.name))
    copy_sources("javascript", folder / "kit")
    (folder / "kit" / "check.mjs").unlink()
    cases = golden_cases(cfg.goldens, manifest.tokenizer.max_length)
    write_goldens(load_tokenizer(artifact), cases, folder / "tests" / GOLDENS)
    files.write_json(folder / "package.json", {"private": True, "type": "module"})
    title = cfg.title or manifest.task.name or manifest.task.kind
    files.write_json(folder / "page.json", {"title": title})
    notice = _NOTICE.format(package=PACKAGE, version=VERSION, licence=manifest.licence)
    files.write_text(folder / "NOTICE.txt", notice)
    _write_offline(folder)
    return Built(shipped.relative_to(folder), run_goldens(folder))


def _refuse_unfit(manifest: Manifest) -> None:
    driver, kind = manifest.driver.kind, manifest.task.kind
    if kind not in KINDS or driver not in DRIVERS:
        raise ConfigError(
            f"--for web makes pages for {', '.join(KINDS)} with the drivers {', '.join(DRIVERS)}; this artifact is of "
            f"the kind '{kind}' with the driver '{driver}'. Use --for files and ONNX Runtime Web in your own code."
        )


def _write_offline(folder: Path) -> None:
    """List what the service worker keeps, under a name that changes with every byte of it."""
    kept = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "sw.js")
    names = [path.relative_to(folder).as_posix() for path in kept if path.parent.name != "tests"]
    goldens = {f"model/{entry.path}" for entry in read_manifest(folder / "model").files if entry.role == "golden"}
    names = [name for name in names if name not in {"package.json", *goldens}]
    (folder / "files.json").write_text(json.dumps(names, indent=2) + "\n", encoding="utf-8")
    worker = folder / "sw.js"
    text = worker.read_text(encoding="utf-8").replace("@VERSION@", files.sha256_of_folder(folder)[:16])
    worker.write_text(text, encoding="utf-8")
