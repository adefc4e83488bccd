"""package --for ios: a Swift package that has all its parts; what only a Mac can say is not_run."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from edgedistill import files
from edgedistill.apps import ios
from edgedistill.artifacts import (
    Exit,
    FileEntry,
    Golden,
    Graph,
    Head,
    Heads,
    Manifest,
    Seq2Seq,
    TaskCard,
    Tensor,
    file_entry,
    read_manifest,
)
from edgedistill.errors import ConfigError, UnprovenError
from edgedistill.pipeline.package import package
from tests.apps.made_for_apps import write_app_artifact
from tests.made import write_verdict


def write_core_ml(folder: Path) -> Path:
    """An artifact whose .mlpackage has Core ML's files and no model in them."""
    write_app_artifact(folder, target="coreml", scheme="fp16")
    items = {"A": {"path": "com.apple.CoreML/model.mlmodel"}, "B": {"path": "com.apple.CoreML/weights"}}
    (folder / "model.mlpackage/Data/com.apple.CoreML/weights").mkdir(parents=True)
    (folder / "model.mlpackage/Data/com.apple.CoreML/model.mlmodel").write_bytes(b"a program")
    (folder / "model.mlpackage/Data/com.apple.CoreML/weights/weight.bin").write_bytes(b"weights")
    files.write_json(folder / "model.mlpackage/Manifest.json", {"itemInfoEntries": items})
    manifest = read_manifest(folder)
    kept = [one for one in manifest.files if one.role != "model"]
    model = [
        file_entry(folder, path, "model") for path in sorted((folder / "model.mlpackage").rglob("*")) if path.is_file()
    ]
    logits = Tensor(name="logits", dtype="float32", shape=(1, 2))
    graphs = (Graph(name="main", file="model.mlpackage", signature="main", inputs=(), outputs=(logits,)),)
    changed = manifest.model_copy(update={"files": (*kept, *model), "graphs": graphs})
    files.write_json(folder / "manifest.json", changed.model_dump(mode="json"))
    write_verdict(folder)
    return folder


def built(artifact: Path, out: Path) -> ios.Built:
    """The package of an artifact, whatever the gate thinks of it."""
    out.mkdir()
    return ios.build(artifact, read_manifest(artifact), out, ios.Config())


@pytest.mark.parametrize(("write", "session"), [(write_core_ml, "CoreMLSession"), (write_app_artifact, "OnnxSession")])
def test_the_package_has_all_its_parts_and_always_the_same_bytes(
    tmp_path: Path, write: Callable[[Path], Path], session: str
) -> None:
    artifact = write(tmp_path / "artifact")
    out, again = tmp_path / "one", tmp_path / "two"
    made, _ = built(artifact, out), built(artifact, again)
    assert files.sha256_of_folder(out) == files.sha256_of_folder(again)
    assert [one.status for one in made.checks] == ["passed", "not_run", "not_run"]
    model = (out / "Sources/EdgeModel/TextModel.swift").read_text(encoding="utf-8")
    assert f'manifestSHA256 = "{files.sha256_of(out / "Sources/EdgeModel/Model/manifest.json")}"' in model
    assert f"try {session}(files: opened" in model
    assert {path.stem for path in (out / "Sources/EdgeModel").glob("*Session.swift")} == {"Session", session}
    assert (out / "Sources/EdgeTokenizer/Tokenizer.swift").is_file()
    goldens = out / "Tests/EdgeTokenizerTests/Resources/tokenizer-goldens.tsv"
    assert len(goldens.read_text(encoding="ascii").splitlines()) >= 2000
    manifest = (out / "Package.swift").read_text(encoding="utf-8")
    for kind, folder in (("target", "Sources"), ("testTarget", "Tests")):
        for name in re.findall(rf'\.{kind}\(\s*name: "(\w+)"', manifest):
            assert any((out / folder / name).glob("*.swift")), name
    assert ("onnxruntime" in manifest) == (session == "OnnxSession")
    assert not [path for path in out.rglob("*.swift") if "%%" in path.read_text(encoding="utf-8")]


WRITES = Seq2Seq(encoder="main", decoder="main", start_id=1, end_id=2, pad_id=0, max_new_tokens=3)
HEADS = (
    Head(name="sst2", output="logits_sst2", kind="single", labels=("a", "b")),
    Head(name='"); fatalError("', output="logits_rte", kind="pair", labels=("a", "b")),
)


@pytest.mark.parametrize(
    ("changes", "example"),
    [
        ({}, 'let labels = try model.classify("A text.")'),
        (
            {"task": TaskCard(name="squad", kind="span")},
            'let found = try model.answer("Who?", in: "The text it is in.")',
        ),
        ({"task": TaskCard(name=None, kind="embedding")}, 'let direction = try model.embed("A text.")'),
        ({"driver": Heads(graphs=("main",), heads=HEADS)}, "let kinds = model.heads.map { ($0.name, $0.kind) }"),
    ],
)
def test_the_readme_asks_what_the_model_answers(tmp_path: Path, changes: dict[str, Any], example: str) -> None:
    out = tmp_path / "dist"
    built(write_app_artifact(tmp_path / "artifact", **changes), out)
    assert example in (out / "README.md").read_text(encoding="utf-8")
    function = re.search(r"try model\.(\w+)\(", example)
    sources = "".join(path.read_text(encoding="utf-8") for path in (out / "Sources/EdgeModel").glob("*.swift"))
    assert f"public func {function[1] if function else 'classify'}(" in sources
    assert "fatalError" not in sources


@pytest.mark.parametrize(
    ("file", "struct", "format"),
    [
        ("SelfTest", "Golden", Golden),
        ("Manifest", "Graph", Graph),
        ("Manifest", "Exit", Exit),
        ("Manifest", "Task", TaskCard),
        ("Manifest", "Head", Head),
        ("Manifest", "File", FileEntry),
        ("Manifest", "Manifest", Manifest),
    ],
)
def test_what_may_be_null_is_optional_in_swift(file: str, struct: str, format: type[BaseModel]) -> None:
    """Of a Core ML artifact made off a Mac no golden has an answer of its own: Swift must still read it."""
    source = (Path(ios.__file__).parent / "project/Sources/EdgeModel" / f"{file}.swift").read_text(encoding="utf-8")
    (indent, body) = re.findall(
        rf"^( *)(?:private |public )?struct {struct}: Decodable \{{\n(.*?)^\1\}}", source, re.M | re.S
    )[0]
    fields = dict(re.findall(rf"^{indent}    (?:public )?let (\w+): (.+)$", body, re.M))
    assert fields
    for name, kind in fields.items():
        is_nullable = type(None) in get_args(format.model_fields[name].annotation)
        assert kind.endswith("?") or not is_nullable, f"{struct}.{name}"


@pytest.mark.long
def test_a_real_core_ml_package_is_packaged_and_says_what_it_does_not_know(tiny_bert: Path, tmp_path: Path) -> None:
    pytest.importorskip("coremltools")
    from edgedistill.pipeline.check import check
    from edgedistill.pipeline.export import export

    artifact = export(tiny_bert, target="coreml", scheme="fp16", out=tmp_path / "artifact")
    check(artifact)
    if sys.platform != "darwin":
        with pytest.raises(UnprovenError, match="give --prove-on-device"):
            package(artifact, out=tmp_path / "dist", platform="ios")
    out = package(artifact, out=tmp_path / "dist", platform="ios", prove_on_device=True)
    model = out / "Sources/EdgeModel/Model"
    assert (model / "model.mlpackage/Data/com.apple.CoreML/weights/weight.bin").stat().st_size > 1000
    assert {entry.path for entry in read_manifest(model).files} >= {"model.mlpackage/Manifest.json", "vocab.txt"}
    statuses = [one["status"] for one in json.loads((out / "PROOF.json").read_text(encoding="utf-8"))["checks"]]
    assert statuses == ["passed", "not_run", "not_run"]


def test_a_part_that_is_missing_is_named(tmp_path: Path) -> None:
    out = tmp_path / "dist"
    shipped = out / built(write_core_ml(tmp_path / "artifact"), out).manifest
    (shipped.parent / "model.mlpackage/Data/com.apple.CoreML/model.mlmodel").unlink()
    (shipped.parent / "vocab.txt").write_text("another\n", encoding="utf-8")
    found = ios.structure(out, shipped)
    assert found.status == "failed"
    assert "vocab.txt" in found.reason
    assert "com.apple.CoreML/model.mlmodel" in found.reason
    (shipped.parent / "model.mlpackage/Manifest.json").write_text("[]", encoding="utf-8")
    assert "model.mlpackage/Manifest.json (TypeError)" in ios.structure(out, shipped).reason


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": TaskCard(name=None, kind="mlm")}, "of the kind 'mlm' with the driver 'single'"),
        (
            {"driver": WRITES},
            "with the driver 'seq2seq'",
        ),
        ({"target": "tflite"}, "target coreml or onnx"),
    ],
)
def test_what_swift_cannot_run_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    artifact = write_app_artifact(tmp_path / "artifact", **changes)
    with pytest.raises(ConfigError, match=message):
        package(artifact, out=tmp_path / "dist", platform="ios")
    assert not (tmp_path / "dist").exists()
