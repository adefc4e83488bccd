"""Every mistake a user can make, through the real verbs: one message, the right code, nothing left behind."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from safetensors.numpy import load_file, save_file

from edgedistill.cli.verbs import edgedistill
from tests.made import write_artifact
from tests.support import save_checkpoint, tiny_model


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(edgedistill, [str(argument) for argument in arguments], prog_name="edgedistill")


def assert_refused(result: Result, *messages: str, code: int = 2) -> None:
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    for message in messages:
        assert message in result.stderr


@pytest.fixture
def model(tiny_bert: Path, tmp_path: Path) -> Path:
    """A checkpoint of one's own to harm."""
    return Path(shutil.copytree(tiny_bert, tmp_path / "model"))


def changed(model: Path, **changes: Any) -> Path:
    path = model / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")
    return model


class TestCheckpoints:
    """What `export` is given; `distill --teacher` reads by the same function."""

    def assert_refused(self, model: Path, *messages: str) -> None:
        out = model.parent / "artifact"
        assert_refused(call("export", model, "--out", out), *messages)
        assert not out.exists()
        assert not [name for name in os.listdir(model.parent) if name.endswith((".part", ".old"))]

    def test_that_are_not_there(self, tmp_path: Path) -> None:
        self.assert_refused(tmp_path / "nowhere", "nowhere")

    def test_that_are_a_file(self, model: Path) -> None:
        self.assert_refused(model / "config.json", "config.json")

    def test_that_are_an_empty_folder(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        self.assert_refused(tmp_path / "empty", "empty")

    def test_that_are_cut_short(self, model: Path) -> None:
        path = model / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-100])
        self.assert_refused(model, "model.safetensors")

    def test_that_are_nonsense(self, model: Path) -> None:
        (model / "model.safetensors").write_bytes(b"nonsense" * 100)
        self.assert_refused(model, "model.safetensors")

    def test_that_are_pickled(self, model: Path) -> None:
        (model / "model.safetensors").rename(model / "pytorch_model.bin")
        self.assert_refused(model, "safetensors")

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_that_hold_no_numbers(self, model: Path, value: float) -> None:
        tensors = load_file(model / "model.safetensors")
        name = next(iter(tensors))
        tensors[name] = np.full_like(tensors[name], value)
        save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})
        self.assert_refused(model, name)

    def test_that_have_no_tokenizer(self, model: Path) -> None:
        for path in [*model.glob("tokenizer*"), *model.glob("vocab*")]:
            path.unlink()
        self.assert_refused(model, "tokenizer")

    def test_that_have_a_broken_config(self, model: Path) -> None:
        (model / "config.json").write_text("{", encoding="utf-8")
        self.assert_refused(model, "config.json")

    def test_that_are_of_another_vocabulary_than_the_config(self, model: Path) -> None:
        words = json.loads((model / "config.json").read_text(encoding="utf-8"))["vocab_size"]
        self.assert_refused(
            changed(model, vocab_size=words - 8), "1 of another shape (bert.embeddings.word_embeddings.weight)"
        )

    def test_that_answer_questions_with_more_than_start_and_end(self, tmp_path: Path) -> None:
        model = save_checkpoint(tmp_path / "model", tiny_model(head="span", layers=1))
        tensors = load_file(model / "model.safetensors")
        for name in ("qa_outputs.weight", "qa_outputs.bias"):
            tensors[name] = np.concatenate([tensors[name], tensors[name][:1]])
        save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})
        labels = {str(number): f"LABEL_{number}" for number in range(3)}
        self.assert_refused(changed(model, id2label=labels), "num_labels is 3", "its start and its end")

    def test_that_are_of_a_family_nobody_knows(self, model: Path) -> None:
        self.assert_refused(changed(model, model_type="not-a-model", architectures=["NotAModel"]), "not-a-model")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--target", "onxx"], "no target named 'onxx'. Did you mean 'onnx'?"),
        (["--scheme", "int9"], "no scheme named 'int9'"),
        (["--set", "opsett=17"], "unknown key 'opsett'"),
        (["--set", "opset"], "--set takes key=value, not 'opset'"),
        (["--set", "max_length=9999"], "max_length"),
        (["--length", "3"], "lengths must rise from at least 8"),
        (["--config", "nowhere.yaml"], "no file 'nowhere.yaml'"),
        (["--task", "sst3"], "Did you mean 'sst2'?"),
    ],
)
def test_wrong_export_options(tiny_bert: Path, tmp_path: Path, options: list[str], message: str) -> None:
    assert_refused(call("export", tiny_bert, "--out", tmp_path / "artifact", *options), message)
    assert os.listdir(tmp_path) == []


def test_an_export_over_something_else(tiny_bert: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    assert_refused(call("export", tiny_bert, "--out", tmp_path), "already exists", "--overwrite")
    assert os.listdir(tmp_path) == ["mine"]


@pytest.mark.parametrize("verb", ["check", "bench", "package"])
class TestArtifacts:
    def call(self, verb: str, folder: Path) -> Result:
        return call(verb, folder, *(["--out", folder.parent / "dist"] if verb == "package" else []))

    def test_that_are_not_there(self, verb: str, tmp_path: Path) -> None:
        assert_refused(self.call(verb, tmp_path / "nowhere"), "is no artifact", "edgedistill export STUDENT")

    def test_that_are_a_file(self, verb: str, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        assert_refused(self.call(verb, tmp_path / "file"), "is no artifact")

    def test_that_have_a_broken_manifest(self, verb: str, tmp_path: Path) -> None:
        folder = write_artifact(tmp_path / "artifact")
        (folder / "manifest.json").write_text("{", encoding="utf-8")
        assert_refused(self.call(verb, folder), "manifest.json", "Export it again")

    def test_that_come_from_another_version(self, verb: str, tmp_path: Path) -> None:
        folder = write_artifact(tmp_path / "artifact")
        (folder / "manifest.json").write_text('{"schema_version": 99}', encoding="utf-8")
        assert_refused(self.call(verb, folder), "schema version 99")


def test_an_unknown_tolerance(tmp_path: Path) -> None:
    folder = write_artifact(tmp_path / "artifact")
    assert_refused(call("check", folder, "--set", "int8_agreemnt=0.9"), "Did you mean 'int8_agreement'?")
    assert_refused(call("check", folder, "--set", "int8_agreement=much"), "a number is needed, not 'much'")
    assert not (folder / "parity.json").exists()


def test_a_report_of_nothing(tmp_path: Path) -> None:
    assert_refused(call("report", tmp_path / "nowhere"), "nowhere")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["mobilbert"], "Did you mean 'mobilebert'?"),
        (["finetune", "--task", "sst3"], "Did you mean 'sst2'?"),
        (["finetune", "--task", "nowhere.yaml"], "no file 'nowhere.yaml'"),
        (["finetune", "--data", "nowhere"], "nowhere"),
        (["finetune", "--config", "nowhere.yaml"], "no file 'nowhere.yaml'"),
        (["finetune", "--set", "optim.learning_rate=1"], "unknown key 'optim.learning_rate'"),
        (["finetune", "--set", "optim.lr=0"], "optim.lr"),
        (["mobilebert"], "teacher"),
        (["mobilebert", "--teacher", "nowhere"], "nowhere"),
        (["finetune", "--student", "nowhere"], "nowhere"),
    ],
)
def test_wrong_distill_options(
    tiny_bert: Path,
    tiny_task_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe, *rest = options
    given = ["--task", str(tiny_task_dir / "task.yaml"), "--data", str(tiny_task_dir)]
    if recipe == "finetune" and "--student" not in rest:
        given += ["--student", str(tiny_bert)]
    assert_refused(call("distill", recipe, *given, "--out", "run", *rest), message)
    assert not (tmp_path / "run" / "student").exists()


@pytest.mark.parametrize(
    ("line", "messages"),
    [
        ('{"sentence": "good film"', ["train.jsonl", "65"]),
        ('{"text": "good film", "label": 1}', ["train.jsonl", "sentence"]),
        ('{"sentence": "good film", "label": 7}', ["train.jsonl", "65", "7"]),
        ('{"sentence": "good film"}', ["train.jsonl", "label"]),
        ('{"sentence": 5, "label": 1}', ["train.jsonl", "65", "sentence"]),
    ],
)
def test_a_bad_row_is_named_by_file_row_and_column(
    tiny_bert: Path, tiny_task_dir: Path, tmp_path: Path, line: str, messages: list[str]
) -> None:
    data = Path(shutil.copytree(tiny_task_dir, tmp_path / "data"))
    with (data / "train.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    given = ["--student", tiny_bert, "--task", data / "task.yaml", "--data", data, "--out", tmp_path / "run"]
    assert_refused(call("distill", "finetune", *given), *messages)
    assert not (tmp_path / "run" / "student").exists()


def test_distilling_over_something_else(tiny_bert: Path, tiny_task_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    given = ["--student", tiny_bert, "--task", tiny_task_dir / "task.yaml", "--data", tiny_task_dir]
    assert_refused(call("distill", "finetune", *given, "--out", tmp_path), "already exists")
    assert os.listdir(tmp_path) == ["mine"]


class TestRecipesOnText:
    """What mlm, mobilebert, distilbert and tinybert cannot do, said before anything is trained or written."""

    @pytest.fixture
    def given(self, tiny_bert: Path, tiny_task_dir: Path, tmp_path: Path) -> dict[str, Path]:
        corpus = tmp_path / "corpus.txt"
        corpus.write_text("\n".join(f"the film was great and the story {n}" for n in range(60)), encoding="utf-8")
        words = save_checkpoint(tmp_path / "words", tiny_model("bert", "mlm"))
        return {"corpus": corpus, "words": words, "head": tiny_bert, "data": tiny_task_dir, "out": tmp_path / "run"}

    def assert_refused(
        self, given: dict[str, Path], recipe: str, *options: str | Path, messages: tuple[str, ...]
    ) -> None:
        result = call("distill", recipe, *options, "--set", "max_length=32", "--out", given["out"])
        assert result.exit_code == 2, result.output
        assert "Traceback" not in result.stderr
        said = " ".join(result.stderr.split())
        for message in messages:
            assert message in said
        assert not given["out"].exists()

    def on_text(self, given: dict[str, Path], recipe: str) -> list[str | Path]:
        return ["--student" if recipe == "mlm" else "--teacher", given["words"], "--corpus", given["corpus"]]

    def on_task(self, given: dict[str, Path]) -> list[str | Path]:
        return ["--teacher", given["head"], "--task", given["data"] / "task.yaml", "--data", given["data"]]

    @pytest.mark.parametrize(
        ("recipe", "settings", "message"),
        [
            ("mlm", "ib_bert.intra_size=1022", "intra_size: 1022 cannot be cut into 4 heads. Try 1024"),
            ("mobilebert", "intra_size=5", "intra_size: 5 cannot be cut into the teacher's 2 heads. Try 4"),
            ("mobilebert", "num_layers=9", "a student of 9 layers is deeper than its teacher of 4"),
            ("mobilebert", "layer_map=[1,9]", "there is no teacher layer 9; they are 1 to 4"),
            ("mobilebert", "embedding_size=99", "embedding_size: 99 is wider than the teacher's 16 features"),
            ("distilbert", "num_layers=9", "a student of 9 layers is deeper than its teacher of 4"),
            ("distilbert", "layer_map=[1,9]", "there is no teacher layer 9; they are 1 to 4"),
            ("tinybert", "hidden_size=15", "hidden_size: 15 cannot be cut into 2 heads. Set hidden_size=16"),
            ("tinybert", "num_layers=9", "a student of 9 layers is deeper than its teacher of 4"),
            ("tinybert", "num_layers=3", "3 layers cannot be spread evenly over the teacher's 4"),
        ],
    )
    def test_impossible_shapes(self, given: dict[str, Path], recipe: str, settings: str, message: str) -> None:
        for options in ([self.on_text(given, recipe)] if recipe != "tinybert" else []) + (
            [self.on_task(given)] if recipe != "mlm" else []
        ):
            self.assert_refused(given, recipe, *options, "--set", settings, messages=(message,))

    @pytest.mark.parametrize(
        "settings",
        ["mlm optim.lr=.nan", "mlm next_sentence=.nan", "mobilebert distill.labels=.nan", "mobilebert temperature=.inf",
         "distilbert words.soft=.nan", "distilbert words_optim.clip_norm=.nan", "tinybert intermediate.hidden=.nan"],
    )  # fmt: skip
    def test_settings_that_are_no_numbers(self, given: dict[str, Path], settings: str) -> None:
        recipe, setting = settings.split()
        options = self.on_task(given) if recipe == "tinybert" else self.on_text(given, recipe)
        self.assert_refused(given, recipe, *options, "--set", setting, messages=(setting.partition("=")[0], "number"))

    @pytest.mark.parametrize("recipe", ["mlm", "mobilebert", "distilbert", "tinybert"])
    def test_weights_that_are_no_numbers(self, given: dict[str, Path], recipe: str, tmp_path: Path) -> None:
        own = tmp_path / "harmed"
        shutil.copytree(given["head" if recipe == "tinybert" else "words"], own)
        tensors = load_file(own / "model.safetensors")
        name = next(name for name in tensors if "layer.2" in name)
        tensors[name] = np.full_like(tensors[name], np.nan)
        save_file(tensors, own / "model.safetensors", metadata={"format": "pt"})
        harmed = given | {"head": own, "words": own}
        options = self.on_task(harmed) if recipe == "tinybert" else self.on_text(harmed, recipe)
        self.assert_refused(
            given, recipe, *options, messages=(f"weight '{name}' holds NaN or infinity", "earlier checkpoint")
        )

    @pytest.mark.parametrize("recipe", ["mobilebert", "distilbert"])
    @pytest.mark.parametrize("head", ["sequence", "bare"])
    def test_a_teacher_without_a_masked_word_head(
        self, given: dict[str, Path], recipe: str, head: str, tmp_path: Path
    ) -> None:
        teacher = save_checkpoint(tmp_path / "t", tiny_model("bert", head))
        said = ("has no masked-word head", f"edgedistill distill mlm --student {teacher} --corpus TEXT")
        self.assert_refused(given, recipe, "--teacher", teacher, "--corpus", given["corpus"], messages=said)

    def test_words_for_variants_from_a_model_that_guesses_none(self, given: dict[str, Path]) -> None:
        options = [*self.on_task(given), "--set", f"augment_with={given['head']}"]
        self.assert_refused(
            given, "tinybert", *options, messages=("has no masked-word head", "edgedistill distill mlm")
        )

    @pytest.mark.parametrize("recipe", ["mlm", "mobilebert", "distilbert", "tinybert"])
    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (b"fine\nnot caf\xe9\n", "corpus.txt, line 2: not UTF-8 (byte 0xe9 at position 8). Convert it: iconv"),
            ("one\ntwo".encode("utf-16"), "It begins as UTF-16 does"),
            (b" \n", "holds no text"),
        ],
    )
    def test_a_corpus_that_is_no_text(self, given: dict[str, Path], recipe: str, data: bytes, message: str) -> None:
        given["corpus"].write_bytes(data)
        options = [*self.on_task(given), "--corpus", given["corpus"]]
        self.assert_refused(
            given, recipe, *(options if recipe == "tinybert" else self.on_text(given, recipe)), messages=(message,)
        )

    @pytest.mark.parametrize("recipe", ["mlm", "mobilebert"])
    def test_pairs_of_one_document(self, given: dict[str, Path], recipe: str) -> None:
        setting = "next_sentence=1" if recipe == "mlm" else "distill.next_sentence=1"
        said = ("all 60 paragraphs of", "are one document", "Put a blank line between documents")
        self.assert_refused(given, recipe, *self.on_text(given, recipe), "--set", setting, messages=said)
