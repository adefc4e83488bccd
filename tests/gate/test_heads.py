"""Several heads at the gate: each is judged on its own task, and swapped heads are named."""

from pathlib import Path

import numpy as np
import pytest
import torch

from edgedistill import artifacts
from edgedistill.artifacts import Graph, Manifest, goldens_of
from edgedistill.data.encoding import Encoding, encode, load_tokenizer
from edgedistill.data.probes import PAIRS
from edgedistill.drivers import run_by_driver
from edgedistill.evaluate import predict
from edgedistill.gate.case import read_goldens
from edgedistill.gate.ladder import overall
from edgedistill.gate.tolerances import read_tolerances
from edgedistill.models.multitask import TaskHead, multitask_bert
from edgedistill.pipeline import check
from edgedistill.pipeline.heads import heads_in, view_of_all
from edgedistill.pipeline.runners import student_runner
from tests.gate.planted import MAX_LENGTH, Planted, plant
from tests.support import LABELS, save_checkpoint, tiny_model

HEADS = (
    TaskHead(name="sst2", kind="single", labels=LABELS),
    TaskHead(name="rte", kind="pair", labels=("entailment", "not_entailment")),
    TaskHead(name="mrpc", kind="pair", labels=("not_equivalent", "equivalent"), answer="san"),
    TaskHead(name="stsb", kind="regression"),
)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A good artifact of four heads; the goldens of all, judged rows of none."""
    folder = tmp_path_factory.mktemp("heads")
    torch.manual_seed(0)
    student = multitask_bert(tiny_model(head="bare"), HEADS).eval()
    with torch.no_grad():
        for head in student.heads.values():
            head.classifier.weight.normal_(std=1.0)
    planted = plant(folder, student=student, rows=0)
    found = heads_in(save_checkpoint(planted.student_folder, student))
    driver = view_of_all(found).driver([("main",)], is_fixed=False)
    card = planted.manifest.task.model_dump(mode="json") | {"name": "sst2"}
    planted.edit_manifest(driver=driver.model_dump(mode="json"), task=card)
    _write_goldens(planted, found)
    return planted


def _write_goldens(planted: Planted, found) -> None:
    rows = list(read_goldens(planted.folder))
    tokenizer = load_tokenizer(planted.folder)
    for place, part in enumerate(planted.manifest.of_each_task()):
        runner, own = student_runner(found[part.task.name].model, part), rows
        if part.task.kind == "pair":
            encodings = encode(tokenizer, [a for a, _ in PAIRS], [b for _, b in PAIRS], MAX_LENGTH)
            pairs = zip(PAIRS, encodings, strict=True)
            own = [_golden(rows[0], a, b, e) for (a, b), e in pairs]
        lines = [_answered(runner, row) for row in own]
        path = planted.folder / (goldens_of(part.task.name) if place else artifacts.GOLDENS)
        path.write_text("".join(line.model_dump_json() + "\n" for line in lines), encoding="utf-8")
    entries = [entry for entry in planted.manifest.files if entry.path != artifacts.GOLDENS]
    entries += [artifacts.file_entry(planted.folder, path, "golden") for path in planted.folder.glob("golden*.jsonl")]
    planted.edit_manifest(files=[entry.model_dump(mode="json") for entry in entries])


def _golden(like, text, pair, encoding):
    given = {
        "text": text,
        "text_pair": pair,
        "input_ids": encoding.input_ids,
        "token_type_ids": encoding.token_type_ids,
    }
    return like.model_copy(update=given)


def _answered(runner, row):
    found = predict(runner, [Encoding(row.input_ids, row.token_type_ids)], 1)
    stored = {name: np.ravel(values[0]).tolist() for name, values in found.items()}
    return row.model_copy(update={"student": stored, "artifact": stored, "tolerance": dict.fromkeys(stored, 1e-3)})


def judged(planted, driver=None):
    """The ladder's rungs by name, run by PyTorch under another driver where one is given."""
    view = view_of_all(heads_in(planted.student_folder))

    def open_graph(graph: Graph):
        def call(inputs):
            given = [torch.as_tensor(np.asarray(inputs[name])) for name in view.input_names]
            with torch.no_grad():
                return {n: v.numpy() for n, v in zip(view.output_names, view(*given), strict=True)}

        return call

    def opened(folder: Path, manifest: Manifest):
        run = run_by_driver(manifest, open_graph)
        if driver is None:
            return run
        return lambda inputs: {n: v for n, v in zip(driver, run(inputs).values(), strict=True)}

    rungs = check.judge(planted.folder, planted.manifest, read_tolerances()[0], opener=opened)
    return {rung.name: rung for rung in rungs}


def test_every_head_is_judged_on_its_own_task(template):
    rungs = judged(template)
    for task in ("", "/rte", "/mrpc", "/stsb"):
        assert rungs[f"student_to_artifact{task}"].status == "passed", rungs[f"student_to_artifact{task}"]
        assert rungs[f"padding_and_batch{task}"].status == "passed"
    assert rungs["student_to_artifact/rte"].title.startswith("rte: ")
    assert overall(list(rungs.values())) == "passed"
    assert [name for name in rungs if name.startswith("phone")] == ["phone"], "said once"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("order", "wrong"),
    [
        (("logits_sst2", "logits_mrpc", "logits_rte", "logits_stsb"), {"/rte", "/mrpc"}),
        (("logits_rte", "logits_sst2", "logits_mrpc", "logits_stsb"), {"", "/rte"}),
    ],
)
def test_swapped_heads_are_named(template, order, wrong):
    rungs = judged(template, order)
    named = {
        name.removeprefix("student_to_artifact")
        for name, rung in rungs.items()
        if any(fault.name == "swapped_heads" for fault in rung.findings)
    }
    assert named == wrong
    assert overall(list(rungs.values())) == "failed"


def test_one_head_that_could_not_be_compared_passes_nothing(template):
    rungs = judged(template)
    other = rungs["student_to_artifact/stsb"].model_copy(update={"status": "not_run"})
    assert overall([*rungs.values(), other]) == "inconclusive"
