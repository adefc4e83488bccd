"""Faults planted in a good artifact: each is caught, and called by its name."""

import copy

import numpy as np
import pytest
import torch

from edgedistill.gate.ladder import overall
from edgedistill.models.views import view_of
from tests.gate.planted import LAYERS, SEEDS, noisy, plant, tiny_student
from tests.support import LABELS, tiny_model, tiny_tokenizer, vocabulary

NOT_HERE = {"other_architecture", "phone", "app_tokenizer"}


def statuses(planted, *settings, **options):
    return {name: rung.status for name, rung in planted.rungs(*settings, **options).items()}


def test_good_artifact_passes_every_rung_that_can_run_here(good):
    found = statuses(good)
    assert {name for name, status in found.items() if status == "not_run"} == NOT_HERE
    assert {status for name, status in found.items() if name not in NOT_HERE} == {"passed"}
    assert overall(list(good.rungs().values())) == "passed"


def test_good_artifact_passes_where_the_students_folder_is_not(good):
    assert overall(list(good.rungs(with_student=False).values())) == "passed"


@pytest.mark.parametrize(("scheme", "noise"), [("fp16", 1e-4), ("int8_weight", 0.001), ("int8_dynamic", 0.001)])
def test_the_noise_a_scheme_may_have_passes(tmp_path, scheme, noise):
    planted = plant(tmp_path, scheme=scheme)
    planted.wrap = noisy(noise)
    rungs = planted.rungs(f"device_{scheme}=0.1")  # the stored answers have no noise
    assert overall(list(rungs.values())) == "passed", {n: r.reason for n, r in rungs.items() if r.reason}


@pytest.mark.parametrize("family", ["bert", "distilbert", "mobilebert", "roberta"])
@pytest.mark.slow
def test_every_family_passes(tmp_path, family):
    rungs = plant(tmp_path, family=family).rungs()
    assert overall(list(rungs.values())) == "passed", {n: r.reason for n, r in rungs.items() if r.reason}


def test_swapped_labels_in_the_model(good):
    good.model = copy.deepcopy(good.student)
    with torch.no_grad():
        good.model.classifier.weight.copy_(good.student.classifier.weight.flip(0))
        good.model.classifier.bias.copy_(good.student.classifier.bias.flip(0))
    rung = good.rungs(with_student=False)["student_to_artifact"]
    assert rung.status == "failed"
    assert "swapped_labels" in {fault.name for fault in rung.findings}
    assert "'negative' comes out as 'positive'" in rung.reason


def test_swapped_labels_in_labels_txt(good):
    (good.folder / "labels.txt").write_text("positive\nnegative\n")
    good.refresh_hashes()
    assert "swapped_labels" in good.findings(with_student=False)


def test_swapped_labels_in_labels_txt_and_manifest_are_seen_beside_the_student(good):
    (good.folder / "labels.txt").write_text("positive\nnegative\n")
    good.edit_manifest(labels=list(reversed(LABELS)))
    good.refresh_hashes()
    assert "swapped_labels" in good.findings()


def test_swapped_labels_of_a_known_task_are_seen_without_the_student(good):
    (good.folder / "labels.txt").write_text("positive\nnegative\n")
    task = good.manifest.task.model_dump() | {"name": "sst2"}
    good.edit_manifest(labels=list(reversed(LABELS)), task=task)
    good.refresh_hashes()
    assert "swapped_labels" in good.findings(with_student=False)


def test_swapped_labels_in_the_data_are_told_from_a_student_that_knows_nothing(good):
    good.edit_lines("reference.jsonl", lambda row: row | {"label": 1 - row["label"]})
    rung = good.rungs()["reference"]
    assert {"swapped_labels", "student_at_chance"} <= {fault.name for fault in rung.findings}


def other_vocabulary(folder):
    words = vocabulary()
    tiny_tokenizer([*words[:5], *reversed(words[5:])]).save_pretrained(folder)


def test_wrong_vocabulary(good):
    other_vocabulary(good.folder)
    good.refresh_hashes()
    for with_student in (True, False):
        assert "wrong_vocabulary" in good.findings(with_student=with_student)


def test_wrong_vocabulary_that_even_the_goldens_were_written_with(good):
    other_vocabulary(good.folder)
    from edgedistill.data.encoding import encode, load_tokenizer
    from edgedistill.evaluate import predict
    from edgedistill.models.answers import torch_runner

    tokenizer = load_tokenizer(good.folder)

    def again(row):
        (e,) = encode(tokenizer, [row["text"]], None, 64)
        logits = {"logits": predict(torch_runner(good.student), [e])["logits"][0].tolist()}
        ids = {"input_ids": list(e.input_ids), "token_type_ids": list(e.token_type_ids)}
        return row | ids | {"student": logits, "artifact": logits}

    good.edit_lines("golden.jsonl", again)
    assert "wrong_vocabulary" in good.findings(with_student=False)


def test_accents_kept_where_the_student_loses_them(good):
    import json

    path = good.folder / "tokenizer.json"
    spec = json.loads(path.read_text())
    spec["normalizer"]["strip_accents"] = False
    path.write_text(json.dumps(spec))
    good.refresh_hashes()
    assert "wrong_normalisation" in good.findings()


@pytest.mark.parametrize("layer", [0, 2])
def test_one_layer_dropped_is_named(good, layer):
    good.model = copy.deepcopy(good.student)
    del good.model.bert.encoder.layer[layer]
    rung = good.rungs()["student_to_artifact"]
    assert [fault.name for fault in rung.findings] == ["layer_dropped"]
    assert f"its layer {layer} " in rung.reason


def test_one_layer_dropped_is_caught_without_the_student(good):
    good.model = copy.deepcopy(good.student)
    del good.model.bert.encoder.layer[1]
    rung = good.rungs(with_student=False)["student_to_artifact"]
    assert rung.status == "failed"
    assert rung.findings


@pytest.mark.slow
def test_one_layer_dropped_in_an_integer_artifact(tmp_path):
    planted = plant(tmp_path, scheme="int8_dynamic")
    planted.model = copy.deepcopy(planted.student)
    del planted.model.bert.encoder.layer[1]
    planted.wrap = noisy(0.005)
    assert "layer_dropped" in planted.findings()


def test_the_student_is_whole_again_after_layers_were_left_out(good):
    before = copy.deepcopy(good.student.state_dict())
    good.model = tiny_student(seed=7)
    good.findings()
    assert all(torch.equal(value, before[name]) for name, value in good.student.state_dict().items())


@pytest.mark.parametrize("with_student", [True, False])
def test_random_weights(good, with_student):
    good.model = tiny_student(seed=11)
    rungs = good.rungs(with_student=with_student)
    assert [fault.name for fault in rungs["student_to_artifact"].findings] == ["random_weights"]
    assert overall(list(rungs.values())) == "failed"


def test_random_weights_with_logits_near_zero_do_not_pass_on_absolute_tolerance(tmp_path):
    student = tiny_student()
    with torch.no_grad():
        student.classifier.weight.mul_(1e-4)
        student.classifier.bias.zero_()
    planted = plant(tmp_path, student=student)
    planted.model = copy.deepcopy(student)
    with torch.no_grad():
        planted.model.classifier.weight.copy_(student.classifier.weight.flip(0))
    rung = planted.rungs()["student_to_artifact"]
    measures = {measure.name: measure for measure in rung.measures}
    assert measures["max_abs"].value < 1e-3
    assert not measures["relative"].is_within
    assert "near_zero_logits" in {fault.name for fault in rung.findings}


def test_an_untrained_student_does_not_pass_although_its_artifact_is_exact(tmp_path):
    student = tiny_student()
    with torch.no_grad():
        student.classifier.weight.mul_(1e-3)
    assert "near_zero_logits" in plant(tmp_path, student=student, rows=0).findings()


def test_pad_row_that_a_trigram_reads(tmp_path):
    student = tiny_student("mobilebert")
    with torch.no_grad():
        student.get_input_embeddings().weight[0] = 1.0
    rung = plant(tmp_path, family="mobilebert", student=student).rungs()["padding_and_batch"]
    assert rung.status == "failed"
    assert [fault.name for fault in rung.findings] == ["padding_row"]
    assert "row of PAD (id 0)" in rung.reason


@pytest.mark.slow
def test_pad_row_is_found_although_every_length_pads(tmp_path):
    student = tiny_student("mobilebert")
    with torch.no_grad():
        student.get_input_embeddings().weight[0] = 1.0
    planted = plant(tmp_path, family="mobilebert", student=student)
    planted.fix_lengths(16, 32, 64)
    rungs = planted.rungs()
    assert [fault.name for fault in rungs["padding_and_batch"].findings] == ["padding_row"]
    assert "padding_row" in {f.name for f in planted.rungs(with_student=False)["padding_and_batch"].findings}


@pytest.mark.slow
def test_pad_row_is_found_with_one_length_only_where_nothing_is_padded_further(tmp_path):
    student = tiny_student("mobilebert")
    with torch.no_grad():
        student.get_input_embeddings().weight[0] = 1.0
    planted = plant(tmp_path, family="mobilebert", student=student)
    planted.fix_lengths(64)
    rungs = planted.rungs()
    assert rungs["padding_and_batch"].status == "not_run"
    assert [fault.name for fault in rungs["student_to_artifact"].findings] == ["padding_row"]


@pytest.mark.slow
def test_good_artifact_of_fixed_lengths_passes(good):
    good.fix_lengths(16, 32, 64)
    rungs = good.rungs()
    assert overall(list(rungs.values())) == "passed", {n: r.reason for n, r in rungs.items() if r.reason}


def test_one_graph_of_several_that_differs(good):
    good.fix_lengths(16, 32, 64)

    def wrap(runner):
        def run(inputs):
            logits = runner(inputs)["logits"]
            return {"logits": logits + (0.3 if inputs["input_ids"].shape[1] >= 32 else 0.0)}

        return run

    good.wrap = wrap
    rung = good.rungs()["padding_and_batch"]
    assert rung.status == "failed"
    assert [fault.name for fault in rung.findings] == ["lengths_differ"]


def test_scores_that_outgrow_the_mask(tmp_path):
    student = tiny_model("mobilebert", layers=LAYERS, seed=SEEDS["mobilebert"])
    planted = plant(tmp_path, family="mobilebert", student=student, rows=0)
    view = view_of(student)

    def run(inputs):
        with torch.no_grad():
            return {"logits": view(*(torch.as_tensor(inputs[name]) for name in view.input_names))[0].numpy()}

    planted.wrap = lambda runner: run
    assert "mask_too_weak" in planted.findings(with_student=False)


def test_mask_that_is_not_applied(good):
    def unmasked(runner):
        return lambda inputs: runner({**inputs, "attention_mask": np.ones_like(inputs["attention_mask"])})

    good.wrap = unmasked
    assert "mask_ignored" in good.findings()


def test_batch_neighbours_that_leak(good):
    def leaking(runner):
        def run(inputs):
            logits = runner(inputs)["logits"]
            return {"logits": logits + 0.1 * (logits.mean(axis=0) - logits)}

        return run

    good.wrap = leaking
    assert "batch_changes_answer" in good.findings()


def answers_with(change):
    def wrap(runner):
        return lambda inputs: {"logits": change(runner(inputs)["logits"]).astype(np.float32)}

    return wrap


def with_nan(logits):
    return np.where(logits > 0.2, np.nan, logits)


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (with_nan, "not_finite"),
        (lambda logits: np.ones_like(logits) * [0.3, 0.1], "constant_answers"),
        (lambda logits: -3 * logits, "sign_flipped"),
        (lambda logits: 2 * logits, "outputs_rescaled"),
        (softmax, "softmax_applied"),
    ],
)
def test_outputs_changed_on_the_way(good, change, name):
    good.wrap = answers_with(change)
    assert name in good.findings()


def test_answers_that_are_no_numbers_are_not_blamed_on_the_mask(good):
    good.wrap = answers_with(lambda logits: np.full_like(logits, np.nan))
    assert good.findings() == {"not_finite"}


def test_integer_fault_that_flips_no_answer_of_a_student_sure_of_itself(tmp_path):
    planted = plant(tmp_path, scheme="int8_weight")
    planted.wrap = answers_with(lambda logits: logits + 0.5 * np.abs(logits).mean())
    rung = planted.rungs("device_int8_weight=1")["student_to_artifact"]
    values = {measure.name: measure.value for measure in rung.measures}
    assert values["agreement"] == values["adversarial_agreement"] == 1.0
    assert values["relative"] > 0.2
    assert rung.status == "failed"


def test_integer_noise_that_costs_answers_is_called_quantization_loss(tmp_path):
    planted = plant(tmp_path, scheme="int8_dynamic")
    planted.wrap = noisy(0.1)
    assert "quantization_loss" in planted.findings(with_student=False)


def test_runtime_that_refuses_an_input_fails_in_words(good):
    def refuse(inputs):
        raise RuntimeError("Gather: index 31000 out of bounds\n  at some frame")

    good.wrap = lambda runner: refuse
    rungs = good.rungs()
    assert overall(list(rungs.values())) == "failed"
    assert "index 31000 out of bounds" in rungs["student_to_artifact"].reason
    assert "some frame" not in rungs["student_to_artifact"].reason


def test_missing_output_fails_in_words(good):
    good.wrap = lambda runner: lambda inputs: {"scores": runner(inputs)["logits"]}
    assert "no output 'logits'" in good.rungs()["student_to_artifact"].reason


def test_stored_answers_of_another_student(good):
    good.edit_lines(
        "golden.jsonl", lambda row: row | {"student": {"logits": [v + 0.5 for v in row["student"]["logits"]]}}
    )
    assert "foreign_goldens" in good.findings()


def test_without_a_dataset_the_numeric_rungs_still_judge(tmp_path):
    found = statuses(plant(tmp_path, rows=0))
    assert found["student_to_artifact"] == found["padding_and_batch"] == found["tokenizer"] == "passed"
    assert found["reference"] == found["student_to_artifact_metric"] == found["teacher_to_artifact"] == "not_run"


def test_without_a_teacher_its_rungs_are_not_run(tmp_path):
    found = statuses(plant(tmp_path, teacher=False))
    assert found["teacher_to_artifact"] == found["teacher_to_student"] == "not_run"
    assert found["student_to_artifact_metric"] == "passed"


def test_nothing_passes_that_was_not_compared_with_its_student(good):
    rungs = [rung for rung in good.rungs().values() if rung.name != "student_to_artifact"]
    assert overall(rungs) == "inconclusive"


def test_failed_beats_inconclusive_beats_passed(good):
    rungs = list(good.rungs().values())
    worse = [rungs[0].model_copy(update={"status": "inconclusive"}), *rungs]
    assert overall(worse) == "inconclusive"
    assert overall([*worse, rungs[0].model_copy(update={"status": "failed"})]) == "failed"
