"""The web package in a browser, one kind of answer after another: what the page and the module say is PyTorch's."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edgedistill import files
from edgedistill.apps.web import browser
from edgedistill.artifacts import MANIFEST, read_manifest
from edgedistill.data.encoding import encode, load_tokenizer, pad
from edgedistill.evaluate import answer_texts
from edgedistill.models.answers import torch_runner
from edgedistill.models.early_exit import early_runner, uncertainty
from edgedistill.models.loading import load
from edgedistill.models.multitask import multitask_bert
from edgedistill.pipeline.export import export
from edgedistill.pipeline.package import package
from edgedistill.runner import Runner
from tests.apps import devtools
from tests.gate.test_heads import HEADS
from tests.made import write_verdict
from tests.models.test_fastbert import made, tokens
from tests.support import save_checkpoint, sentences, tiny_model, write_jsonl
from tests.tools import needs

pytestmark = [pytest.mark.long, needs("chromium", "node", "npm")]

CONTEXT = "Outside \U0001f642 it was cold, but the music in the script was \u00c9clatant and superb."
TEXTS = ("the film was lovely", "who is in the story ?", "a dull and messy plot .")
SECOND = "the cast was warm"
LOAD = "const model = await (await import(new URL('edgedistill.js', location.href))).load();"
Arrays = Mapping[str, NDArray[Any]]


def packaged(place: Path, model: Any, *settings: str, main: str | None = None, **more: Any) -> tuple[Path, Path]:
    """The student's folder, and the package of what was exported of it; `main` is what its card would call its task."""
    student = save_checkpoint(place / "student", model)
    artifact = export(str(student), target="onnx", scheme="fp32", out=place / "artifact", settings=settings, **more)
    manifest = read_manifest(artifact)
    task = manifest.task.model_copy(update={"name": main or manifest.task.name})
    files.write_json(artifact / MANIFEST, manifest.model_copy(update={"task": task}).model_dump(mode="json"))
    write_verdict(artifact)
    out = package(artifact, platform="web", out=place / "dist", settings=["goldens=1000"])
    statuses = [check["status"] for check in json.loads((out / "PROOF.json").read_text(encoding="utf-8"))["checks"]]
    assert set(statuses[:-2]) == {"passed"}
    return student, out


def asked(student: Path, runner: Runner, text: str, pair: str | None = None) -> Arrays:
    """What the student says to one text."""
    return runner(pad(encode(load_tokenizer(student), [text], [pair], 128)))


def shares(logits: NDArray[Any], labels: tuple[str, ...]) -> list[str]:
    """The page's list of classes."""
    found = torch.tensor(logits).float().softmax(-1).ravel().tolist()
    return [
        f"{name}{100 * share:.1f} %" for name, share in sorted(zip(labels, found, strict=True), key=lambda p: -p[1])
    ]


def walk(out: Path, profile: Path, steps: Callable[[devtools.Page], None]) -> None:
    """The package's own test, and then some steps on its page."""
    with browser.serving(out) as (address, _), devtools.page(profile) as page:
        page.call("Page.navigate", url=f"{address}/tests/index.html")
        page.wait("document.getElementById('status')?.textContent === 'Done.'")
        results = page.said("[...document.querySelectorAll('tbody tr')].map((row) => row.lastChild.textContent)")
        assert len(results) >= 2
        assert set(results) == {"passed"}
        page.open(f"{address}/index.html")
        steps(page)


def test_a_pair_is_classified(tmp_path: Path) -> None:
    for seed, split in enumerate(("train", "validation", "test")):
        rows = [{"sentence1": text, "sentence2": SECOND, "label": number} for text, number in sentences(16, seed)]
        write_jsonl(tmp_path / "rte" / f"{split}.jsonl", rows)
    model = tiny_model(labels=("entailment", "not_entailment"))
    student, out = packaged(tmp_path, model, task="rte", data=tmp_path / "rte")
    checkpoint = load(student)

    def steps(page: devtools.Page) -> None:
        for text in TEXTS:
            said = page.ask(text, SECOND)
            logits = asked(student, torch_runner(checkpoint.model), text, SECOND)["logits"]
            assert said["scores"] == shares(logits, checkpoint.labels)
            assert said["answer"] == re.split(r"\d", said["scores"][0])[0]

    walk(out, tmp_path / "profile", steps)


HOSTILE = ("</script><script>document.title = 'taken'</script>", '"><img src=x onerror="document.title = \'taken\'">')


def test_names_of_classes_are_shown_and_never_run(tmp_path: Path) -> None:
    student, out = packaged(tmp_path, tiny_model(labels=HOSTILE))
    checkpoint = load(student)

    def steps(page: devtools.Page) -> None:
        said = page.ask(TEXTS[0])
        assert said["scores"] == shares(asked(student, torch_runner(checkpoint.model), TEXTS[0])["logits"], HOSTILE)
        assert page.said("document.title") != "taken"
        assert page.said("document.querySelectorAll('#result script, #result img').length") == 0

    walk(out, tmp_path / "profile", steps)


def test_a_question_is_answered_out_of_its_text(tmp_path: Path) -> None:
    student, out = packaged(tmp_path, tiny_model(head="span"))
    runner = torch_runner(load(student).model)

    def steps(page: devtools.Page) -> None:
        for text in TEXTS:
            found = asked(student, runner, text, CONTEXT)
            flat = np.concatenate([found["start_logits"].ravel(), found["end_logits"].ravel()])
            (wanted,) = answer_texts(load_tokenizer(student), [text], [CONTEXT], [flat], 128)
            said = page.ask(text, CONTEXT)
            assert (said["answer"], said["mark"], said["passage"]) == (wanted, wanted, CONTEXT)
            places = f"(async () => {{ {LOAD} return model.answer({json.dumps(text)}, {json.dumps(CONTEXT)}); }})()"
            answer = page.said(places)
            units = CONTEXT.encode("utf-16-le")[2 * answer["start"] : 2 * answer["end"]]
            assert units.decode("utf-16-le") == answer["answer"] == wanted
        with pytest.raises(AssertionError, match="of the kind 'span', not single or pair"):
            page.said(f"(async () => {{ {LOAD} return model.classify('a'); }})()")

    walk(out, tmp_path / "profile", steps)


def test_texts_are_compared_by_what_they_mean(tmp_path: Path) -> None:
    student, out = packaged(tmp_path, tiny_model(head="bare"))
    runner = torch_runner(load(student).model)

    def direction(text: str) -> NDArray[Any]:
        mean = asked(student, runner, text)["last_hidden_state"][0].mean(axis=0)
        return mean / np.linalg.norm(mean)

    def steps(page: devtools.Page) -> None:
        for text in TEXTS:
            wanted = float(direction(text) @ direction(SECOND))
            shown = re.fullmatch(r"Similarity (-?[\d.]+)", page.ask(text, SECOND)["answer"])
            assert shown is not None
            assert float(shown[1]) == pytest.approx(wanted, abs=6e-4)

    walk(out, tmp_path / "profile", steps)


def test_each_of_several_heads_is_asked(tmp_path: Path) -> None:
    torch.manual_seed(0)
    several = multitask_bert(tiny_model(head="bare"), HEADS).eval()
    with torch.no_grad():
        for head in several.heads.values():
            head.classifier.weight.normal_(std=1.0)
    student, out = packaged(tmp_path, several, main="sst2")

    def steps(page: devtools.Page) -> None:
        options = "[...document.getElementById('head').options].map((option) => option.text)"
        assert page.said(options) == [head.name for head in HEADS]
        for head in HEADS:
            change = f"const box = document.getElementById('head'); box.value = '{head.name}'; "
            page.said(f"void (() => {{ {change} box.dispatchEvent(new Event('change')); }})()")
            assert page.said("document.getElementById('pair-field').hidden") == (head.kind == "single")
            said = page.ask(TEXTS[0], SECOND)
            pair = None if head.kind == "single" else SECOND
            logits = asked(student, torch_runner(load(student, task=head.name).model), TEXTS[0], pair)["logits"]
            if head.kind == "regression":
                assert float(said["answer"]) == pytest.approx(float(logits.ravel()[0]), abs=1e-3)
            else:
                assert said["scores"] == shares(logits, head.labels)
        with pytest.raises(AssertionError, match="the model has no task 'cola'; it has sst2, rte, mrpc, stsb"):
            page.said(f"(async () => {{ {LOAD} return model.classify('a', null, 'cola'); }})()")

    walk(out, tmp_path / "profile", steps)


def test_a_text_leaves_the_model_where_it_is_certain(tmp_path: Path) -> None:
    torch.manual_seed(0)
    early = made()
    with torch.no_grad():
        for own, factor in zip(early.exits, (1.0, 4.0, 16.0, 16.0), strict=True):
            own.classifier.weight.mul_(factor)
            own.classifier.bias.zero_()
        early.config.speed = float(uncertainty(early.exit_logits(tokens(24)))[:, :-1].median())
    student, out = packaged(tmp_path, early, "lengths=[32,128]")
    checkpoint = load(student)
    runner, texts = early_runner(checkpoint.model), [*TEXTS, *(text for text, _ in sentences(8)), "the film " * 40]

    def steps(page: devtools.Page) -> None:
        left = []
        for text in texts:
            said, found = page.ask(text), asked(student, runner, text)
            left.append(int(found["layers"].ravel()[0]))
            assert said["scores"] == shares(found["logits"], checkpoint.labels)
            assert said["latency"].endswith(f"answered after {left[-1]} of 4 parts of the model")
        assert len(set(left)) > 1, "texts leave at different places"

    walk(out, tmp_path / "profile", steps)
