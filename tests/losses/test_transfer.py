import pytest
import torch

from edgedistill.losses.hidden import feature_mean, feature_variance
from edgedistill.losses.transfer import transfer_terms
from edgedistill.models.outputs import Outputs

MASK = torch.tensor([[1, 1, 0], [1, 1, 1]])
ALL = {"feature": 1.0, "mean": 2.0, "variance": 3.0, "attention": 4.0}


def outputs(seed, layers=3):
    random = torch.Generator().manual_seed(seed)
    hidden = tuple(torch.randn(2, 3, 4, generator=random, dtype=torch.float64) for _ in range(layers + 1))
    scores = (torch.randn(2, 2, 3, 3, generator=random, dtype=torch.float64) for _ in range(layers))
    padding = (MASK == 0)[:, None, None, :]
    return Outputs(hidden=hidden, attentions=tuple(part.masked_fill(padding, -1e4).softmax(-1) for part in scores))


def test_a_copy_has_nothing_to_learn_and_other_layers_have():
    same = outputs(0)
    assert all(abs(term.item()) < 1e-12 for term in transfer_terms(ALL, same, same, MASK, (1, 2, 3)).values())
    assert all(term.item() > 0 for term in transfer_terms(ALL, same, same, MASK, (2, 2, 3)).values())


def test_weights_scale_their_term_and_0_leaves_it_out():
    one, two = outputs(0), outputs(1)
    terms = transfer_terms(ALL, one, two, MASK, (1, 2, 3))
    doubled = transfer_terms({name: 2 * weight for name, weight in ALL.items()}, one, two, MASK, (1, 2, 3))
    assert all(doubled[name].item() == pytest.approx(2 * terms[name].item()) for name in ALL)
    assert transfer_terms({**ALL, "mean": 0.0}, one, two, MASK, (1, 2, 3)).keys() == ALL.keys() - {"mean"}


def test_as_in_the_authors_code_a_copy_is_drawn_away_from_itself():
    """Their mistake: every layer against every hidden state of the teacher, the embedding output included."""
    one, two = outputs(0), outputs(1)
    mixed = transfer_terms(ALL, one, two, MASK, (1, 2, 3), is_reference=True)
    plain = transfer_terms(ALL, one, two, MASK, (1, 2, 3))
    for name, loss in (("mean", feature_mean), ("variance", feature_variance)):
        every = [loss(ours, theirs, MASK) for ours in one.hidden[1:] for theirs in two.hidden]
        assert mixed[name].item() == pytest.approx(ALL[name] * torch.stack(every).mean().item())
    assert mixed["feature"].item() == plain["feature"].item()
    same = transfer_terms(ALL, one, one, MASK, (1, 2, 3), is_reference=True)
    assert same["mean"].item() > 0
    floor = ALL["attention"] * torch.stack([entropy(part) for part in two.attentions]).mean().item()
    assert mixed["attention"].item() == pytest.approx(plain["attention"].item() + floor)


def entropy(attention):
    """Of the teacher's attention, by hand: real keys of real queries, mean over those and over heads."""
    each = -(attention * attention.clamp(min=1e-12).log()).sum(-1).mean(1)
    return each[MASK.bool()].mean()
