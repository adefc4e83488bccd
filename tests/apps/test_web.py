"""The web package: what it refuses, what it is made of, and what a browser says to it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from edgedistill import files, plugins
from edgedistill.apps import web
from edgedistill.apps.web import browser, proof, runtime
from edgedistill.artifacts import read_manifest
from edgedistill.cli.group import GATE_FAILED
from edgedistill.errors import ConfigError, DeviceError
from edgedistill.pipeline.package import package
from tests.apps import devtools
from tests.apps.kits import VARIANTS, artifact_of
from tests.gate.planted import plant
from tests.made import write_verdict
from tests.support import sentences
from tests.tools import needs

CHROMIUM = needs("chromium", "node", "npm")


@pytest.fixture
def stubbed(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The platform without its runtime, and nothing to run it with."""
    monkeypatch.setattr(web, "write_runtime", lambda folder, archive: folder.mkdir())
    monkeypatch.setattr(shutil, "which", lambda name: None)
    return web


def built(folder: Path, **settings: object) -> Path:
    artifact, manifest = artifact_of(folder / "artifact", has_letters=False, **VARIANTS["uncased"])
    out = folder / "out"
    out.mkdir()
    web.build(artifact, manifest, out, web.Config(goldens=1000, **settings))
    return out


def test_a_package_has_all_it_names_and_runs_nothing_from_elsewhere(stubbed: ModuleType, tmp_path: Path) -> None:
    title = "<img src=x onerror=alert(1)>"
    out = built(tmp_path, title=title)
    assert json.loads((out / "page.json").read_text(encoding="utf-8")) == {"title": title}
    for page in (out / "index.html", out / "tests" / "index.html"):
        html = page.read_text(encoding="utf-8")
        assert title not in html
        assert "unsafe-inline" not in html
        assert "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'" in html
        assert not re.search(r"<style|style=|<script(?![^>]*src=)| on[a-z]+=|https?://", html)
        for name in re.findall(r'(?:src|href)="([^"]+)"', html):
            known = (page.parent / name).resolve()
            assert known.is_file() or known.name in {"PROOF.md"}, f"{page.name} names {name}"
    kept = json.loads((out / "files.json").read_text(encoding="utf-8"))
    assert {"index.html", "edgedistill.js", "kit/tokenizer.js", "model/model.onnx", "model/unicode.txt"} <= set(kept)
    assert all((out / name).is_file() for name in kept)
    labels = re.findall(r'<label[^>]* for="(\w+)"', (out / "index.html").read_text(encoding="utf-8"))
    assert labels == ["head", "text", "pair"], "every field has its label"


def test_the_same_artifact_gives_the_same_bytes_and_another_title_other_ones(
    stubbed: ModuleType, tmp_path: Path
) -> None:
    one, two, other = (built(tmp_path / name, title=name[0]) for name in ("a1", "a2", "b"))
    assert files.sha256_of_folder(one) == files.sha256_of_folder(two)
    workers = [(folder / "sw.js").read_text(encoding="utf-8") for folder in (one, other)]
    assert workers[0] != workers[1], "a browser fetches the files again only when the worker differs"
    assert "@VERSION@" not in workers[0]


def test_without_node_nothing_counts_as_passed(stubbed: ModuleType, tmp_path: Path) -> None:
    checks = proof.run_goldens(tmp_path)
    assert {check.status for check in checks} == {"not_run"}
    assert "node is not installed" in checks[0].reason


def test_goldens_that_differ_or_are_none_fail() -> None:
    answers = [{"file": "model/golden-rte.jsonl", "asked": 0, "differ": [], "why": ""}]
    said = {"tokenizer": {"asked": 5, "differ": [2]}, "answers": answers}
    checks = proof.checks_of(said, "here")
    assert [check.status for check in checks] == ["failed", "failed"]
    assert (checks[0].reason, checks[0].differ) == ("1 of 5 differ.", (2,))
    assert checks[1].file == "golden-rte.jsonl"
    assert [check.status for check in proof.checks_of({**said, "answers": []}, "here")] == ["failed", "failed"]


@pytest.mark.parametrize(("kind", "driver"), [("tokens", "single"), ("single", "seq2seq")])
def test_what_the_page_cannot_show_is_refused(kind: str, driver: str, tmp_path: Path) -> None:
    artifact, manifest = artifact_of(tmp_path / "artifact", has_letters=False, **VARIANTS["uncased"])
    other = manifest.model_copy(
        update={
            "task": manifest.task.model_copy(update={"kind": kind}),
            "driver": manifest.driver.model_copy(update={"kind": driver}),
        }
    )
    with pytest.raises(ConfigError, match=f"of the kind '{kind}' with the driver '{driver}'. Use --for files"):
        web.build(artifact, other, tmp_path, web.Config())


def test_another_runtime_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "onnxruntime-web.tgz"
    archive.write_bytes(b"something")
    with pytest.raises(ConfigError, match=r"is not onnxruntime-web-1\.30\.0\.tgz with SHA-256 d2228df7"):
        runtime.write_runtime(tmp_path / "runtime", archive)


def test_no_npm_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(DeviceError, match="npm is not installed to fetch it"):
        runtime.write_runtime(tmp_path / "runtime")
    with pytest.raises(DeviceError, match=r"no browser: none of chromium, .* Run: make tools"):
        browser.find_browser()


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real ONNX artifact of a tiny student, passed."""
    from edgedistill.pipeline.export import export

    student = plant(tmp_path_factory.mktemp("planted")).student_folder
    folder = tmp_path_factory.mktemp("web") / "artifact"
    export(str(student), target="onnx", scheme="fp32", out=folder)
    write_verdict(folder)
    return folder


DRIVE = """<!doctype html><title>drive</title><iframe id="page" src="../index.html"></iframe>
<script type="module" src="drive.js"></script>"""
SCRIPT = """
const frame = document.getElementById("page");
const until = async (found) => {
  for (let turn = 0; turn < 1200; turn++) {
    if (found()) return;
    await new Promise((done) => setTimeout(done, 100));
  }
  throw new Error("the page did not get there");
};
const answers = [];
try {
  await until(() => frame.contentDocument?.getElementById("ask")?.disabled === false);
  const at = (id) => frame.contentDocument.getElementById(id);
  for (const text of await (await fetch("texts.json")).json()) {
    at("text").value = text;
    at("latency").textContent = "";
    const enter = new frame.contentWindow.KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true });
    at("text").dispatchEvent(enter);
    await until(() => at("latency").textContent !== "");
    const scores = [...at("scores").children].map((item) => item.textContent);
    answers.push({ answer: at("answer").textContent, scores, latency: at("latency").textContent });
  }
  await fetch("/report", { method: "POST", body: JSON.stringify({ answers }) });
} catch (error) {
  await fetch("/report", { method: "POST", body: JSON.stringify({ error: String(error) }) });
}
"""


@CHROMIUM
@pytest.mark.long
def test_a_browser_answers_as_pytorch_does(classifier: Path, tmp_path: Path) -> None:
    """The whole road: packaged, its goldens in Node and in Chromium, 50 texts typed into the page."""
    from edgedistill.data.encoding import encode, load_tokenizer, pad
    from edgedistill.models.loading import load

    out = package(classifier, platform="web", out=tmp_path / "dist", settings=["title=Mood"])
    proved = json.loads((out / "PROOF.json").read_text(encoding="utf-8"))["checks"]
    assert [check["status"] for check in proved] == ["passed", "passed", "not_run", "not_run"]
    said = browser.posted(out, "tests/index.html")
    (goldens,) = said["answers"]
    assert goldens["asked"] >= 50
    assert goldens["sameClass"] == goldens["asked"], "as PyTorch"
    assert not goldens["differ"]
    assert not said["tokenizer"]["differ"]

    texts = [text for text, _ in sentences(50, seed=5)]
    (out / "tests" / "drive.html").write_text(DRIVE, encoding="utf-8")
    (out / "tests" / "drive.js").write_text(SCRIPT, encoding="utf-8")
    files.write_json(out / "tests" / "texts.json", texts)
    answers = browser.posted(out, "tests/drive.html", seconds=300)["answers"]
    assert len(answers) == 50
    checkpoint = load(read_manifest(classifier).source.path)
    tokenizer = load_tokenizer(classifier)
    import torch

    for text, answer in zip(texts, answers, strict=True):
        inputs = {name: torch.tensor(array) for name, array in pad(encode(tokenizer, [text])).items()}
        with torch.no_grad():
            shares = checkpoint.model(**inputs).logits.softmax(-1)[0].tolist()
        wanted = sorted(zip(checkpoint.labels, shares, strict=True), key=lambda pair: -pair[1])
        assert answer["answer"] == wanted[0][0]
        assert answer["scores"] == [f"{name}{100 * share:.1f} %" for name, share in wanted]
        assert re.fullmatch(r"\d+\.\d ms in this browser", answer["latency"])


@CHROMIUM
@pytest.mark.long
def test_without_a_network_it_answers_as_before(classifier: Path, tmp_path: Path) -> None:
    """The server is gone, not merely slow: what was not kept cannot be read, and the page is there after a reload."""
    out = package(classifier, platform="web", out=tmp_path / "dist", settings=["goldens=1000"])
    with devtools.page(tmp_path / "profile") as page:
        with browser.serving(out) as (address, _):
            page.open(f"{address}/index.html")
            before = page.ask("a lovely film")
            page.wait("!document.getElementById('offline').hidden")
        missing = "fetch('tests/tokenizer-goldens.tsv').then(() => 'read', () => 'no network')"
        assert page.said(missing) == "no network"
        page.call("Page.reload", ignoreCache=False)
        page.wait("document.getElementById('answer')?.textContent === ''")
        page.ready()
        after = page.ask("a lovely film")
        assert after["scores"]
        assert (after["answer"], after["scores"]) == (before["answer"], before["scores"])
        for scheme in ("light", "dark"):
            for width in (320, 1000):
                page.picture(tmp_path / f"{scheme}-{width}.png", width, scheme)
                assert page.said("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out"


@CHROMIUM
@pytest.mark.long
def test_a_golden_that_comes_out_otherwise_stops_the_package(classifier: Path, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from edgedistill.artifacts import file_entry
    from edgedistill.cli.verbs import edgedistill

    folder = shutil.copytree(classifier, tmp_path / "artifact")
    goldens = folder / "golden.jsonl"
    first, *others = goldens.read_text(encoding="utf-8").splitlines(keepends=True)
    value = json.loads(first)
    value["artifact"]["logits"][0] += 0.5
    goldens.write_text(json.dumps(value) + "\n" + "".join(others), encoding="utf-8")
    manifest = read_manifest(folder)
    listed = tuple(
        file_entry(folder, goldens, "golden") if entry.path == "golden.jsonl" else entry for entry in manifest.files
    )
    files.write_json(folder / "manifest.json", manifest.model_copy(update={"files": listed}).model_dump(mode="json"))
    write_verdict(folder)
    done = CliRunner().invoke(edgedistill, ["package", str(folder), "--for", "web", "--out", str(tmp_path / "dist")])
    assert done.exit_code == GATE_FAILED
    assert "does not give the goldens' answers and was not made" in done.stderr
    assert not (tmp_path / "dist").exists()


def test_a_browser_has_one_thread(tmp_path: Path) -> None:
    from edgedistill.pipeline.bench_anywhere import bench_anywhere

    with pytest.raises(ConfigError, match=r"runs with one thread\. Leave --threads out"):
        bench_anywhere([tmp_path], device="web", threads=[2])


@CHROMIUM
@pytest.mark.long
def test_a_browser_is_timed(classifier: Path) -> None:
    from edgedistill.pipeline.bench_anywhere import bench_anywhere

    report = bench_anywhere([classifier], device="web", mode="rapid", lengths=[16])
    (row,) = report.rows
    assert row.latency.runs >= 64
    assert row.validity == "valid"
    assert row.source == "host"
    assert "Chromium" in row.device
    assert (classifier / "bench-web.json").is_file()
    assert plugins.load("apps", "web") is web
