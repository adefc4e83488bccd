"""Early exits at the gate: a good artifact passes; a wrong threshold and swapped segments are named."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from edgedistill import artifacts
from edgedistill.artifacts import Graph, Manifest
from edgedistill.data.encoding import Encoding
from edgedistill.drivers import run_by_driver
from edgedistill.evaluate import predict
from edgedistill.gate.tolerances import read_tolerances
from edgedistill.models.early_exit import uncertainty
from edgedistill.models.views import cut_view_of
from edgedistill.pipeline import check
from edgedistill.pipeline.runners import asked_for_all, student_runner
from tests.gate.planted import Planted, plant
from tests.models.test_fastbert import made, tokens


def lively():
    """A FastBERT whose texts leave at every layer."""
    torch.manual_seed(0)
    model = made()
    with torch.no_grad():
        for own, factor in zip(model.exits, (2.0, 4.0, 8.0, 16.0), strict=True):
            own.classifier.weight.mul_(factor)
            own.classifier.bias.zero_()
        model.config.speed = float(uncertainty(model.exit_logits(tokens(24)))[:, :-1].median()) + 1e-5
    return model.eval()


def opened(planted: Planted, folder: Path, manifest: Manifest):
    """The artifact with PyTorch for a runtime: a graph's name says which segment it is."""
    pieces = {piece.name: piece for piece in cut_view_of(planted.model).pieces}

    def open_graph(graph: Graph):
        piece = pieces[graph.name]

        def call(inputs):
            given = [torch.as_tensor(np.asarray(inputs[name])) for name in piece.input_names]
            with torch.no_grad():
                return {n: v.numpy() for n, v in zip(piece.output_names, piece(*given), strict=True)}

        return call

    return run_by_driver(manifest, open_graph)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A good artifact with early exits."""
    planted = plant(tmp_path_factory.mktemp("early"), student=lively(), rows=160)
    view = cut_view_of(planted.student)
    graph = planted.manifest.graphs[0].model_dump(mode="json")
    names = [(piece.name,) for piece in view.pieces]
    driver = view.driver(names, is_fixed=False).model_dump(mode="json")
    planted.edit_manifest(graphs=[graph | {"name": name} for (name,) in names], driver=driver)
    asked = student_runner(planted.student, asked_for_all(planted.manifest))
    tokenizer = artifacts_tokenizer(planted)

    def again(row):
        outputs = predict(asked, [Encoding(tuple(row["input_ids"]), tuple(row["token_type_ids"]))], 1)
        stored = {name: np.ravel(values[0]).tolist() for name, values in outputs.items()}
        return row | {"student": stored, "artifact": stored, "tolerance": dict.fromkeys(stored, 1e-3)}

    def reread(row):
        encoded = tokenizer.encode(row["text"])
        outputs = predict(asked, [Encoding(tuple(encoded.ids), tuple(encoded.type_ids))], 1)
        return row | {"student": np.ravel(outputs["logits"][0]).tolist(), "teacher": None}

    planted.edit_lines(artifacts.GOLDENS, again)
    planted.edit_lines(artifacts.REFERENCE, reread)
    return planted


def artifacts_tokenizer(planted):
    from edgedistill.data.encoding import load_tokenizer

    return load_tokenizer(planted.folder)


def judged(planted, driver=None):
    """The ladder's rungs by name, with the driver's fields changed."""
    manifest = planted.manifest
    if driver:
        manifest = manifest.model_copy(update={"driver": manifest.driver.model_copy(update=driver)})
    rungs = check.judge(
        planted.folder, manifest, read_tolerances()[0], opener=lambda folder, m: opened(planted, folder, m)
    )
    return {rung.name: rung for rung in rungs}


def exits_of(planted, **changes):
    return [one.model_copy(update=changes) for one in planted.manifest.driver.exits]


def found_in(rungs):
    """Faults of the artifact; a student with random weights need not know its task."""
    return {fault.name for name, rung in rungs.items() if name != "reference" for fault in rung.findings}


def test_a_good_one_passes_and_says_how_many_layers_it_runs(template):
    rungs = judged(template)
    for name in ("student_to_artifact", "early_exits", "padding_and_batch"):
        assert rungs[name].status == "passed", rungs[name]
    numbers = {one.name: one.value for one in rungs["early_exits"].measures}
    assert 1 < numbers["mean_layers"] < numbers["of_layers"] == 4
    assert numbers["same_exit"] == 1.0


@pytest.mark.parametrize("factor", [0.5, 1.5, 0.0, 10.0])
def test_a_wrong_threshold_is_named(template, factor):
    speed = template.student.config.speed
    rungs = judged(template, {"exits": tuple(exits_of(template, threshold=speed * factor))})
    assert found_in(rungs) == {"wrong_exit_threshold"}
    assert rungs["early_exits"].status == "failed"
    assert ("earlier" if factor > 1 else "later") in rungs["early_exits"].reason


@pytest.mark.parametrize(("one", "other"), [(1, 2), (0, 1), (2, 3)])
def test_swapped_segments_are_named(template, one, other):
    exits = exits_of(template)
    graphs = [each.graphs for each in exits]
    graphs[one], graphs[other] = graphs[other], graphs[one]
    swapped = tuple(each.model_copy(update={"graphs": own}) for each, own in zip(exits, graphs, strict=True))
    rungs = judged(template, {"exits": swapped})
    if (one, other) == (1, 2):
        assert found_in(rungs) == {"swapped_segments"}
        assert "segments 2 and 3" in rungs["early_exits"].reason
    else:  # a segment that takes in or gives out something else cannot even be run in the wrong place
        assert rungs["early_exits"].status == "failed"


def test_goldens_without_exits_prove_nothing(template, tmp_path):
    import shutil
    from dataclasses import replace

    copy = replace(template, folder=shutil.copytree(template.folder, tmp_path / "artifact"))
    copy.edit_lines(
        artifacts.GOLDENS,
        lambda row: row | {who: {"logits": row[who]["logits"]} for who in ("student", "artifact")},
    )
    assert "no_exits_stored" in found_in(judged(copy))
    assert json.loads((copy.folder / artifacts.GOLDENS).read_text().splitlines()[0])["student"].keys() == {"logits"}
