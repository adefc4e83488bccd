import pytest
import torch
from torch import nn

from edgedistill.errors import CheckpointError
from edgedistill.models.answers import answer
from edgedistill.models.outputs import Want
from edgedistill.models.scores import recorded_scores
from tests.models.test_answers import FAMILIES, tokens
from tests.support import tiny_model


@pytest.mark.parametrize("family", FAMILIES)
def test_softmax_of_the_masked_scores_is_the_attention(family):
    model = tiny_model(family)
    encoded = tokens(pad_id=model.config.pad_token_id)
    found = answer(model, encoded, Want(attentions=True, scores=True))
    padding = encoded.attention_mask[:, None, None, :] == 0
    assert len(found.scores) == len(found.attentions) == 4
    for scores, attention in zip(found.scores, found.attentions, strict=True):
        assert torch.allclose(scores.masked_fill(padding, float("-inf")).softmax(dim=-1), attention, atol=1e-5)


def test_scores_are_float32_have_gradients_and_leave_no_hook():
    model = tiny_model().train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = answer(model, tokens(), Want(scores=True))
    assert {each.dtype for each in found.scores} == {torch.float32}
    sum(each.square().mean() for each in found.scores).backward()
    assert model.bert.encoder.layer[3].attention.self.query.weight.grad.abs().max() > 0
    assert not any(module._forward_hooks for name, module in model.named_modules() if name.endswith(("query", "key")))
    assert answer(model, tokens()).scores == ()


def test_a_family_without_known_projections_is_refused():
    with pytest.raises(CheckpointError, match="scores of a Linear cannot be read"), recorded_scores(nn.Linear(2, 2)):
        pass
