"""What accelerators take of an artifact, as a gate."""

import pytest


def made_for_nnapi(planted, delegated):
    told = {"accelerator": "NNAPI", "nodes": 200, "delegated": delegated, "partitions": 3, "advice": "no"}
    planted.edit_manifest(delegations=[told | {"unsupported": ["ai.onnx:Gelu"], "source": "a checker"}])


@pytest.mark.parametrize(("delegated", "status"), [(190, "passed"), (189, "failed")])
def test_too_many_nodes_left_to_the_processor_fail_where_a_limit_is_set(good, delegated, status):
    made_for_nnapi(good, delegated)
    rung = good.rungs("min_delegated=0.95", with_student=False)["files"]
    assert rung.status == status
    assert [(m.name, m.value) for m in rung.measures] == [("delegated to NNAPI", delegated / 200)]
    if status == "failed":
        assert {fault.name for fault in rung.findings} == {"left_to_the_processor"}
        assert "NNAPI takes 189 of 200 nodes in 3 pieces" in rung.reason
        assert "ai.onnx:Gelu" in rung.reason


def test_without_a_limit_the_share_is_told_and_judges_nothing(good):
    made_for_nnapi(good, 0)
    assert good.rungs(with_student=False)["files"].status == "passed"
