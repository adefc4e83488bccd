"""package --for android: hostile names, the same bytes, and what Java and Android's own tools say of it."""

from __future__ import annotations

import json
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgedistill import files, resources
from edgedistill.apps import android
from edgedistill.apps.android import jvm, project, skeleton
from edgedistill.apps.android.names import android_string, java_constants, java_text, refuse_asset_names
from edgedistill.artifacts import Seq2Seq, TaskCard, read_manifest
from edgedistill.errors import ConfigError, UnprovenError
from edgedistill.pipeline.package import package
from tests.apps.android_stubs import write_stubs
from tests.apps.made_for_apps import TEXTS, write_app_artifact
from tests.tools import needs

HOSTILE = ('*/ class "x"; \\u0022', "</string><x>", "a b", "A-B", "", "9 lives", "été", "\u202e$(rm)")
JAVA = "src/main/java/com/example/app/textmodel"
JUNIT = "/usr/share/java/junit4.jar"
HAMCREST = "/usr/share/java/hamcrest-core.jar"


def written(tmp_path: Path, folder: Path | None = None, **settings: object) -> project.Written:
    """The Gradle project, without the checks."""
    artifact = folder or write_app_artifact(tmp_path / "artifact")
    out = tmp_path / "dist"
    out.mkdir()
    return project.write(artifact, read_manifest(artifact), out, android.Config.model_validate(settings))


def test_java_strings_hold_any_name_in_ascii() -> None:
    assert java_text('a"b\\u0022\n') == '\\"'.join(("a", "b")) + "\\\\u0022\\012"
    assert java_text("é\U0001f600\ud800") == "\\u00e9\\ud83d\\ude00\\ud800"


def test_every_label_has_a_constant_of_its_own() -> None:
    found = java_constants(HOSTILE)
    assert list(found.values()) == list(HOSTILE)
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]*", name) for name in found)
    assert list(java_constants(("positive", "a b", "A-B", "1"))) == ["POSITIVE", "A_B", "A_B_2", "LABEL_3_1"]


def test_android_strings_are_read_as_they_were_written() -> None:
    text = android_string('@it\'s "a" <b> \\ & \u202e')
    assert text == '\\@it\\\'s \\"a\\" &lt;b&gt; \\\\ &amp;  '
    assert ElementTree.fromstring(f"<string>{text}</string>").text is not None


@pytest.mark.parametrize("path", ["../x", "_x/a", ".x", "a b", "a.gz", "x;y", "a//b", "/a", "é", "a/", "-x"])
def test_files_that_a_packager_would_change_are_refused(path: str) -> None:
    with pytest.raises(ConfigError, match="cannot be an app's asset"):
        refuse_asset_names([path])


def test_files_that_differ_in_capitals_only_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"'A\.txt' and 'a\.txt' differ in capitals only"):
        refuse_asset_names(["A.txt", "a.txt"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("app_id=x", "at least two parts"),
        ('app_id="com.example/x"', "at least two parts"),
        ("app_id=com.new.app", "'new' is a word of the Java language"),
        ("name=../x", "must be a-z"),
        ("name=class", "must be a-z"),
        ("name=edgedistill_onnx", "nor a module of the package"),
        ("name=mood_pack", "nor a module of the package"),
        ('runtime_version=1.0"; exec("x', "should match pattern"),
        ("min_sdk=21", "greater than or equal to 24"),
        ("java_runtime=nowhere.jar", "there is no file 'nowhere.jar'"),
    ],
)
def test_settings_that_cannot_work_are_refused(tmp_path: Path, settings: str, message: str) -> None:
    artifact = write_app_artifact(tmp_path / "artifact")
    with pytest.raises(ConfigError, match=message):
        package(artifact, out=tmp_path / "dist", platform="android", settings=[settings])
    assert not (tmp_path / "dist").exists()


def test_a_model_that_writes_is_refused(tmp_path: Path) -> None:
    driver = Seq2Seq(encoder="main", decoder="main", start_id=0, end_id=1, pad_id=0, max_new_tokens=4)
    folder = write_app_artifact(tmp_path / "artifact", driver=driver)
    with pytest.raises(ConfigError, match="cannot run a 'seq2seq' model"):
        written(tmp_path, folder)


def test_hostile_names_stay_names(tmp_path: Path) -> None:
    task = TaskCard(name="</string>'x", kind="single", metric="accuracy")
    made = written(tmp_path, write_app_artifact(tmp_path / "a", labels=HOSTILE, task=task, licence="a\n*/ %%NAME%%"))
    title = ElementTree.parse(made.module / "src/main/res/values/strings.xml").find("string")
    assert title is not None
    assert title.text == "Self-test: </string>\\'x"
    labels = (made.module / f"{JAVA}/Labels.java").read_text(encoding="ascii")
    assert '\\"x\\"; \\\\u0022"' in labels
    assert "licence a */ %%NAME%%," in (made.folder / "NOTICE.txt").read_text(encoding="utf-8")
    for path in made.folder.rglob("*"):
        if path.suffix in {".java", ".gradle"}:
            assert "%%" not in path.read_text(encoding="utf-8"), path


def test_the_same_artifact_gives_the_same_bytes_and_the_app_knows_the_manifests_hash(tmp_path: Path) -> None:
    made = written(tmp_path)
    (tmp_path / "again").mkdir()
    again = written(tmp_path / "again", tmp_path / "artifact")
    assert files.sha256_of_folder(made.folder) == files.sha256_of_folder(again.folder)
    constant = (made.module / f"{JAVA}/BundledModel.java").read_text(encoding="utf-8")
    assert f'MANIFEST_SHA256 = "{files.sha256_of(made.manifest)}"' in constant
    for entry in read_manifest(made.manifest.parent).files:
        assert files.sha256_of(made.manifest.parent / entry.path) == entry.sha256
    assert {"tokenizer.spec", "unicode.txt", "vocab.txt"} <= {path.name for path in made.manifest.parent.iterdir()}
    assert not (made.manifest.parent / "reference.jsonl").exists()


def two_models(tmp_path: Path) -> tuple[project.Written, project.Written]:
    """Two packages for one app, each of another name."""
    found = []
    for name in ("mood", "topic"):
        (tmp_path / name).mkdir()
        found.append(written(tmp_path / name, name=name, asset_pack="install-time"))
    return found[0], found[1]


def test_two_models_fit_into_one_app(tmp_path: Path) -> None:
    """What they share is the same bytes; of what is their own nothing has the other's name."""
    mood, topic = two_models(tmp_path)
    for one, other in ((mood.library, topic.library), (mood.opener, topic.opener)):
        assert one.name == other.name
        assert files.sha256_of_folder(one) == files.sha256_of_folder(other)
    own = [{*_names(made)} for made in (mood, topic)]
    assert all("textmodel" not in name for name in own[0])
    assert {"com.example.app.mood", "mood_self_test", "mood_pack", "com.example.app.mood.BundledModel"} <= own[0]
    assert not own[0] & own[1]


def _names(made: project.Written) -> Iterator[str]:
    """What an app would find twice: modules, namespaces, classes, texts, assets and asset packs."""
    shared = {made.library.name, made.opener.name, "sample"}
    for module in sorted(path for path in made.folder.iterdir() if path.is_dir() and path.name not in shared):
        yield module.name
        gradle = (module / "build.gradle").read_text(encoding="utf-8")
        yield from re.findall(r'(?:namespace|packName =) "([^"]+)"', gradle)
        for path in module.rglob("*.*"):
            inner = path.relative_to(module).as_posix()
            if path.suffix == ".java":
                yield inner.partition("/java/")[2].removesuffix(".java").replace("/", ".")
            elif path.name == "strings.xml":
                yield from re.findall(r'name="(\w+)"', path.read_text(encoding="utf-8"))
            elif "/assets/" in inner:
                yield inner.partition("/assets/")[2]


def test_a_model_may_lie_in_an_asset_pack(tmp_path: Path) -> None:
    made = written(tmp_path, asset_pack="on-demand")
    assert made.manifest.parent == made.folder / "textmodel_pack/src/main/assets/edgedistill/textmodel"
    assert 'deliveryType = "on-demand"' in (made.folder / "textmodel_pack/build.gradle").read_text(encoding="utf-8")
    assert ', ":textmodel_pack"' in (made.folder / "settings.gradle").read_text(encoding="utf-8")
    assert not (made.module / "src/main/assets").exists()


@pytest.mark.slow
@needs("javac", *skeleton.TOOLS, str(skeleton.FRAMEWORK))
def test_a_package_is_proven_by_java_and_androids_tools_or_not_made(tmp_path: Path) -> None:
    artifact = write_app_artifact(tmp_path / "artifact")
    out = package(artifact, out=tmp_path / "dist", platform="android", settings=["asset_pack=install-time"])
    proved = json.loads((out / "PROOF.json").read_text())["checks"]
    checks = {(one["name"], one["where"]): one for one in proved}
    kit, own = (one for one in proved if (one["name"], one["where"]) == ("tokenizer", "Java on this computer"))
    assert (kit["status"], own["status"], own["goldens"]) == ("passed", "passed", len(TEXTS))
    assert kit["goldens"] >= 2000
    assert checks["resources", "aapt2, zipalign, apksigner"]["status"] == "passed"
    assert checks["answers", "Android phone"]["status"] == "not_run"
    wrong = (artifact / "golden.jsonl").read_text(encoding="utf-8").replace('"input_ids": [2,', '"input_ids": [3,', 1)
    made = written(tmp_path / "x", write_changed(tmp_path / "x", artifact, wrong))
    kit, found, _ = jvm.checks(made, read_manifest(made.manifest.parent), android.Config())
    assert (kit.status, found.status, found.differ) == ("passed", "failed", (1,))
    assert "the tokens differ" in found.reason
    strings = made.module / "src/main/res/values/strings.xml"
    strings.write_text(strings.read_text(encoding="utf-8").replace("textmodel_self_test", "other"), encoding="utf-8")
    assert skeleton.check(made, android.Config()).status == "failed", "the manifest names a text that is not there"


def write_changed(place: Path, artifact: Path, goldens: str) -> Path:
    """A copy with other goldens, its manifest told of them."""
    from edgedistill.artifacts import file_entry

    place.mkdir()
    folder = write_app_artifact(place / "artifact")
    (folder / "golden.jsonl").write_text(goldens, encoding="utf-8")
    manifest = read_manifest(folder)
    entries = tuple(file_entry(folder, folder / one.path, one.role) for one in manifest.files)
    files.write_json(folder / "manifest.json", manifest.model_copy(update={"files": entries}).model_dump(mode="json"))
    return folder


def test_a_package_that_fails_in_java_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def call(command: list[str]) -> str:
        raise subprocess.CalledProcessError(1, command, "", "Tokenizer.java:1: error")

    monkeypatch.setattr(jvm, "_call", call)
    monkeypatch.setattr("shutil.which", lambda tool: tool if tool in ("javac", "java") else None)
    with pytest.raises(UnprovenError, match=r"tokenizer in Java on this computer: Tokenizer\.java:1: error"):
        package(write_app_artifact(tmp_path / "artifact"), out=tmp_path / "dist", platform="android")
    assert not (tmp_path / "dist").exists()


def test_without_tools_nothing_counts_as_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda tool: None)
    out = package(write_app_artifact(tmp_path / "artifact"), out=tmp_path / "dist", platform="android")
    assert {one["status"] for one in json.loads((out / "PROOF.json").read_text())["checks"]} == {"not_run"}


@pytest.mark.long
@needs("javac", JUNIT, HAMCREST)
def test_the_librarys_own_tests_pass_on_java(tmp_path: Path) -> None:
    """Everything but Android's own classes, at language level 8, without a warning."""
    made = written(tmp_path)
    sources = [path for path in (made.library / "src/main").rglob("*.java") if "android" not in path.parts]
    tests = [path for module in (made.library, made.module) for path in (module / "src/test/java").rglob("*.java")]
    arguments = ["--release", "8", "-Xlint:all", "-Xlint:-options", "-Werror", "-d", str(tmp_path / "classes")]
    subprocess.run(["javac", *arguments, "-cp", JUNIT, *map(str, [*sources, *tests])], check=True)
    names = [
        ".".join((*path.parts[path.parts.index("java") + 1 : -1], path.stem))
        for path in tests
        if path.stem.endswith("Test")
    ]
    path = f"{tmp_path / 'classes'}:{made.goldens.parent}:{JUNIT}:{HAMCREST}"
    run = ["java", "-cp", path, "org.junit.runner.JUnitCore", *names]
    done = subprocess.run(run, capture_output=True, text=True, cwd=made.module, check=False)
    assert done.returncode == 0, done.stdout
    assert len(names) == 4


@pytest.mark.long
@needs("javac", JUNIT)
def test_what_touches_android_compiles_against_its_signatures(tmp_path: Path) -> None:
    """The library for both runtimes, its test on a phone, and the in-app benchmark: no SDK is here."""
    made, other = two_models(tmp_path)
    bench = resources.folder("android_bench") / "app" / "bench" / "src" / "main"
    lite = Path(android.__file__).parent / "project" / "runtime" / "src" / "tflite"
    models = [module / "src" / part for module in (made.module, other.module) for part in ("main", "androidTest")]
    places = (made.library / "src" / "main", made.opener, *models, bench, lite)
    sources = [path for place in places for path in place.rglob("*.java")]
    assert {"SelfTestActivity", "BundledModel", "SelfTestOnDevice", "BenchActivity", "LiteRt", "GoldensActivity"} <= {
        path.stem for path in sources
    }
    arguments = ["--release", "8", "-Xlint:-options", "-d", str(tmp_path / "classes"), "-cp", JUNIT]
    subprocess.run(["javac", *arguments, *map(str, [*write_stubs(tmp_path / "stubs"), *sources])], check=True)
