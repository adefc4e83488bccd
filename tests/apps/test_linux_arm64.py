"""The arm64 Linux package: what it refuses, and its own programs under emulation."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from transformers import PreTrainedModel

from edgedistill.apps import linux_arm64, ship
from edgedistill.apps._tokenizer import write_kit
from edgedistill.apps.linux_arm64 import proof
from edgedistill.artifacts import Golden, read_manifest
from edgedistill.data.encoding import encode, load_tokenizer, pad
from edgedistill.errors import ConfigError, UnknownNameError
from edgedistill.evaluate import answer_texts
from edgedistill.models.answers import torch_runner
from edgedistill.models.early_exit import early_runner, uncertainty
from edgedistill.models.loading import load
from edgedistill.models.multitask import TaskHead, multitask_bert
from edgedistill.phones import arm64, bundle, qemu
from edgedistill.pipeline.export import export
from edgedistill.pipeline.package import package
from tests.apps.kits import VARIANTS, artifact_of
from tests.apps.made_for_apps import write_app_artifact
from tests.gate.planted import plant
from tests.gate.test_heads import HEADS
from tests.made import write_verdict
from tests.models.test_fastbert import made, tokens
from tests.support import save_checkpoint, sentences, tiny_model
from tests.tools import needs

GOLDEN = Golden(
    text="a", input_ids=(2, 5, 3), token_type_ids=(0, 0, 0), student={"logits": [0.0, 1.0]},
    artifact={"logits": [0.0, 1.0]}, tolerance={"logits": 0.01},
)  # fmt: skip
SAID = {"ids": [2, 5, 3], "type_ids": [0, 0, 0], "outputs": {"logits": [0.001, 1.0]}}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({}, None),
        ({"ids": [2, 6, 3]}, "other token numbers"),
        ({"outputs": {"logits": [0.5, 1.0]}}, "logits 0.5 apart, 0.01 allowed"),
        ({"outputs": {"logits": [0.0]}}, "logits inf apart"),
        ({"outputs": {}}, "none of the stored answers"),
        ({"outputs": {"logits": [0.0, float("nan")]}}, "logits nan apart"),
    ],
)
def test_another_answer_is_noticed(change: dict[str, object], why: str | None) -> None:
    found = list(proof._differences([GOLDEN], [{**SAID, **change}]))
    assert [number for number, _ in found] == ([] if why is None else [1])
    assert why is None or found[0][1].startswith(why)


def test_of_early_exits_only_the_one_that_answered_is_compared() -> None:
    stored = {"logits": [0.0, 1.0], "layers": [2.0], "exit_1": [5.0, 5.0], "exit_2": [0.0, 1.0]}
    near = dict.fromkeys(stored, 0.01)
    golden = GOLDEN.model_copy(update={"student": stored, "artifact": stored, "tolerance": near})
    left = {"logits": [0.0, 1.0], "layers": [2.0]}
    assert list(proof._differences([golden], [{**SAID, "outputs": left}])) == []
    ((_, why),) = proof._differences([golden], [{**SAID, "outputs": {**left, "layers": [1.0]}}])
    assert why.startswith("layers 1 apart")


def test_what_the_program_cannot_run_is_refused(tmp_path: Path) -> None:
    artifact, manifest = artifact_of(tmp_path / "artifact", has_letters=False, **VARIANTS["uncased"])
    spec = manifest.tokenizer.model_copy(update={"special_ids": {"pad": 7, "cls": 2, "sep": 3}})
    other = manifest.model_copy(update={"tokenizer": spec})
    with pytest.raises(ConfigError, match=r"this tokenizer's \[PAD\] is another number"):
        linux_arm64.build(artifact, other, tmp_path, linux_arm64.Config())
    guessing = manifest.model_copy(update={"task": manifest.task.model_copy(update={"kind": "mlm"})})
    with pytest.raises(ConfigError, match="of the kind 'mlm' with the driver 'single'"):
        linux_arm64.build(artifact, guessing, tmp_path, linux_arm64.Config())
    with pytest.raises(UnknownNameError, match="no qemu profile named 'a99'"):
        linux_arm64.build(artifact, manifest, tmp_path, linux_arm64.Config(cpu="a99"))


def test_programs_are_found_wherever_the_package_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--out dist` is relative to where one stands; the programs are started within the package."""
    made = {"qemu-aarch64": 'shift 4; exec "$@"', "dist/tests/check": '[ -f "$1/vocab.txt" ] && echo 3',
            f"dist/{bundle.LIBRARIES}/{arm64.LOADER}": "echo it cannot be loaded; exit 1"}  # fmt: skip
    for name, line in made.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    write_app_artifact(tmp_path / "dist/model")
    (tmp_path / "dist/tests" / proof.TOKENIZER_GOLDENS).touch()
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    tokenizer, answers, *_ = proof.run_goldens(Path("dist"), qemu.find_profile("a76"))
    assert (tokenizer.status, tokenizer.goldens) == ("passed", 3)
    assert (answers.status, answers.reason) == ("failed", "it cannot be loaded")


def native(place: Path, model: PreTrainedModel, name: str | None = None) -> tuple[Path, Path]:
    """A student's folder, and its package's program and files for this computer instead of for arm64."""
    student = save_checkpoint(place / "student", model)
    artifact = export(str(student), target="onnx", scheme="fp32", out=place / "artifact")
    manifest = read_manifest(artifact)
    manifest = manifest.model_copy(update={"task": manifest.task.model_copy(update={"name": name})})
    folder = place / "dist"
    write_kit(artifact, manifest, folder / "model")
    ship(artifact, manifest, folder / "model")
    linux_arm64.write_program_request(artifact, manifest, folder, 1)
    library = folder / json.loads((folder / "request.json").read_text(encoding="utf-8"))["library"]
    library.parent.mkdir()
    library.symlink_to(next((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*")))
    return student, folder


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """classify, compiled for this computer."""
    folder = tmp_path_factory.mktemp("source")
    linux_arm64.write_sources(folder)
    flags = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    command = ["g++", *flags, *linux_arm64.program_sources(), "-ldl", "-o", "classify"]
    subprocess.run(command, cwd=folder, check=True)
    return folder / "classify"


def said(program: Path, folder: Path, *lines: dict[str, Any]) -> list[dict[str, Any]]:
    """What the program answers to lines."""
    asked = "".join(json.dumps(line) + "\n" for line in lines)
    done = subprocess.run([program, folder], input=asked, capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def asked_of(student: Path, text: str, pair: str | None = None, task: str | None = None) -> Mapping[str, Any]:
    """What the student says in PyTorch."""
    runner = torch_runner(load(student, task=task).model)
    return runner(pad(encode(load_tokenizer(student), [text], [pair], 128)))


def shares(logits: Any) -> list[float]:
    return torch.tensor(logits).double().softmax(-1).ravel().tolist()


TEXT, SECOND = "the film was lovely", "Outside \U0001f642 it was cold, but the music in the script was \u00c9clatant."


@needs("g++")
@pytest.mark.long
def test_every_head_answers_with_its_own_labels(program: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    names = ('pos"itive\n', "</b>$(id)", "neutral")
    tasks = (TaskHead(name="sst2", kind="single", labels=names), *HEADS[1:])
    several = multitask_bert(tiny_model(head="bare"), tasks).eval()
    with torch.no_grad():
        for head in several.heads.values():
            head.classifier.weight.normal_(std=1.0)
    student, folder = native(tmp_path, several, name="sst2")
    lines = ({"text": TEXT}, {"text": TEXT, "text_pair": SECOND}, {"text": TEXT, "text_pair": SECOND, "task": "mrpc"})
    single, pair, one = (answer["tasks"] for answer in said(program, folder, *lines))
    assert [list(each) for each in (single, pair, one)] == [["sst2", "stsb"], ["rte", "mrpc", "stsb"], ["mrpc"]]
    assert one["mrpc"] == pair["mrpc"]
    for asked, pairs in ((single, None), (pair, SECOND)):
        for head in tasks:
            if head.name not in asked:
                continue
            found, logits = asked[head.name], asked_of(student, TEXT, pairs, head.name)["logits"].ravel()
            if head.kind == "regression":
                assert found == {"value": pytest.approx(float(logits[0]), abs=1e-4)}
            else:
                assert found["label"] == head.labels[int(logits.argmax())]
                assert found["scores"] == pytest.approx(dict(zip(head.labels, shares(logits), strict=True)), abs=1e-4)
    for line, why in (
        ({"text": TEXT, "task": "cola"}, "line 2: the model has no task 'cola'; it has sst2, rte, mrpc, stsb."),
        ({"text_pair": TEXT}, "line 2: 'text' is required"),
    ):
        asked_twice = f"{json.dumps(lines[0])}\n{json.dumps(line)}\n"
        done = subprocess.run([program, folder], input=asked_twice, capture_output=True, text=True, check=False)
        assert (done.returncode, len(done.stdout.splitlines())) == (2, 1)
        assert why in done.stderr


@needs("g++")
@pytest.mark.long
def test_spans_tags_and_directions_are_answered(program: Path, tmp_path: Path) -> None:
    student, folder = native(tmp_path / "span", tiny_model(head="span"))
    (found,) = said(program, folder, {"text": TEXT, "text_pair": SECOND})
    scores = asked_of(student, TEXT, SECOND)
    flat = np.concatenate([scores["start_logits"].ravel(), scores["end_logits"].ravel()])
    (wanted,) = answer_texts(load_tokenizer(student), [TEXT], [SECOND], [flat], 128)
    assert wanted == found["answer"] != ""
    assert SECOND.encode()[found["start"] : found["end"]].decode() == wanted

    student, folder = native(tmp_path / "tokens", tiny_model(head="tokens", labels=("O", "B-x", "I-x")))
    (found,) = said(program, folder, {"text": SECOND})
    tags = asked_of(student, SECOND)["logits"][0].argmax(-1)[1:-1]
    assert [one["tag"] for one in found["tags"]] == [("O", "B-x", "I-x")[tag] for tag in tags]
    assert SECOND.encode()[found["tags"][-1]["start"] : found["tags"][-1]["end"]] == b"."

    student, folder = native(tmp_path / "bare", tiny_model(head="bare"))
    (found,) = said(program, folder, {"text": TEXT})
    mean = asked_of(student, TEXT)["last_hidden_state"][0].mean(axis=0)
    assert found["embedding"] == pytest.approx((mean / np.linalg.norm(mean)).tolist(), abs=1e-5)


@needs("g++")
@pytest.mark.long
def test_a_text_leaves_where_it_is_certain(program: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    early = made()
    with torch.no_grad():
        for own, factor in zip(early.exits, (1.0, 4.0, 16.0, 16.0), strict=True):
            own.classifier.weight.mul_(factor)
            own.classifier.bias.zero_()
        early.config.speed = float(uncertainty(early.exit_logits(tokens(24)))[:, :-1].median())
    student, folder = native(tmp_path, early)
    runner, texts = early_runner(load(student).model), [text for text, _ in sentences(12)]
    found = said(program, folder, *({"text": text} for text in texts))
    wanted = [runner(pad(encode(load_tokenizer(student), [text], None, 128))) for text in texts]
    assert [one["segments"] for one in found] == [int(each["layers"].item()) for each in wanted]
    for one, each in zip(found, wanted, strict=True):
        assert list(one["scores"].values()) == pytest.approx(shares(each["logits"]), abs=1e-4)
    assert len({one["segments"] for one in found}) > 1, "texts leave at different places"


@needs("aarch64-linux-gnu-g++", "qemu-aarch64")
@pytest.mark.long
def test_the_goldens_pass_under_emulation_and_a_text_is_answered(tmp_path: Path) -> None:
    student = plant(tmp_path / "planted").student_folder
    export(str(student), target="onnx", scheme="fp32", out=tmp_path / "artifact")
    write_verdict(tmp_path / "artifact")
    out = package(tmp_path / "artifact", platform="linux-arm64", out=tmp_path / "dist", settings=["goldens=1000"])
    checks = json.loads((out / "PROOF.json").read_text(encoding="utf-8"))["checks"]
    assert [check["status"] for check in checks] == ["passed", "passed", "not_run", "not_run"]
    profile = qemu.find_profile("a53")
    root = qemu.root_of(profile, tmp_path / "work")
    done = subprocess.run(
        [qemu.EMULATOR, "-L", root, "-cpu", profile.cpu, out / "lib" / "ld-linux-aarch64.so.1", "--library-path",
         out / "lib", out / "classify", out],
        input='{"text": "a great film"}\n', capture_output=True, text=True, check=True,
    )  # fmt: skip
    answer = json.loads(done.stdout)
    assert answer["label"] == max(answer["scores"], key=answer["scores"].get)
    assert sum(answer["scores"].values()) == pytest.approx(1.0)
