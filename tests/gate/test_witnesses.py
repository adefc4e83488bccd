"""Who is believed: the rows over the manifest, the tokenizer over its description, and few texts not at all."""

import json

import numpy as np
import pytest

from edgedistill.data.probes import ADVERSARIAL
from edgedistill.gate.case import read_goldens
from tests.gate.planted import plant
from tests.support import LABELS


def test_swapped_labels_everywhere_but_in_the_judged_split_are_seen_without_the_student(good):
    """The right answers' names are stored with the rows, by who read the data and not by who wrote the manifest."""
    good.edit_lines("reference.jsonl", lambda row: row | {"answer": LABELS[row["label"]]})
    assert not good.findings(with_student=False)
    (good.folder / "labels.txt").write_text("positive\nnegative\n")
    good.edit_manifest(labels=list(reversed(LABELS)))
    good.refresh_hashes()
    rung = good.rungs(with_student=False)["files"]
    assert [fault.name for fault in rung.findings] == ["swapped_labels"]
    assert "class 0: the manifest says 'positive', the stored judged split 'negative'" in rung.reason


@pytest.mark.parametrize("changes", [{"lowercase": False}, {"strip_accents": True}, {"handle_chinese_chars": False}])
def test_text_rules_of_the_manifest_are_those_of_the_tokenizer(good, changes):
    """An app that rebuilds the tokenizer from the manifest would read other ids."""
    tokenizer = good.manifest.tokenizer.model_dump(mode="json")
    assert tokenizer != tokenizer | changes
    good.edit_manifest(tokenizer=tokenizer | changes)
    assert "wrong_normalisation" in good.findings(with_student=False)


def test_capitals_kept_where_the_student_was_asked_in_lower_case(good):
    stored = json.loads((good.folder / "tokenizer.json").read_text(encoding="utf-8"))
    stored["normalizer"]["lowercase"] = False
    (good.folder / "tokenizer.json").write_text(json.dumps(stored), encoding="utf-8")
    good.edit_manifest(tokenizer=good.manifest.tokenizer.model_dump(mode="json") | {"lowercase": False})
    good.edit_lines("golden.jsonl", lambda row: row | {"text": row["text"].title()})
    (fault,) = good.rungs()["tokenizer"].findings
    assert fault.name == "wrong_normalisation"
    assert "keeps capitals" in fault.message


def test_a_limit_that_no_difference_broke_names_no_fault_of_the_outputs(tmp_path):
    """An untrained student's exact artifact: near_zero_logits, and neither noise nor differences."""
    for scheme in ("int8_dynamic", "fp16"):
        student = plant(tmp_path / scheme, rows=0, scheme=scheme)
        found = student.rungs("min_spread=1e6")["student_to_artifact"]
        assert [fault.name for fault in found.findings] == ["near_zero_logits"]
        assert ".;" not in found.reason


@pytest.mark.parametrize(("flips", "status"), [(2, "inconclusive"), (12, "failed")])
def test_agreement_on_few_texts_can_be_chance(tmp_path, flips, status):
    planted = plant(tmp_path, scheme="int8_dynamic", rows=0)
    ordinary = [golden for golden in read_goldens(planted.folder) if golden.text not in set(ADVERSARIAL.values())]
    chosen = {golden.input_ids for golden in ordinary[:flips]}

    def flip(runner):
        def run(inputs):
            outputs = dict(runner(inputs))
            real = [ids[mask == 1] for ids, mask in zip(inputs["input_ids"], inputs["attention_mask"], strict=True)]
            rows = [tuple(ids.tolist()) in chosen for ids in real]
            outputs["logits"] = np.where(np.array(rows)[:, None], -outputs["logits"], outputs["logits"])
            return outputs

        return run

    planted.wrap = flip
    loose = ("int8_relative=10", "device_int8_dynamic=1e6")
    rung = planted.rungs(*loose)["student_to_artifact"]
    assert rung.status == status
    if status == "inconclusive":
        assert "rows would tell" in rung.reason
        (share,) = [measure for measure in rung.measures if measure.name == "agreement"]
        assert share.low < share.value < 0.98 <= share.high
