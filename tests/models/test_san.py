import pytest
import torch
from torch import nn

from edgedistill.models import san
from edgedistill.models.san import StochasticAnswer

H, C = 6, 3


def made(turns: int = 5, seed: int = 0) -> StochasticAnswer:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return StochasticAnswer(H, C, turns=turns).double().eval()


def pairs(length: int = 7, padding: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two rows of states; the second text begins at the fourth token."""
    hidden = torch.randn(2, length, H, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    types = (torch.arange(length) >= 3).long().expand(2, -1)
    mask = torch.ones(2, length, dtype=torch.int64)
    if padding:
        junk = torch.full((2, padding, H), 9.0, dtype=torch.float64)
        zeros = torch.zeros(2, padding, dtype=torch.int64)
        return torch.cat((hidden, junk), dim=1), torch.cat((mask, zeros), dim=1), torch.cat((types, zeros), dim=1)
    return hidden, mask, types


def test_answers_with_a_distribution():
    assert made()(*pairs()).exp().sum(dim=-1).tolist() == pytest.approx([1.0, 1.0], abs=1e-12)


def test_one_turn_is_one_classifier():
    model, (hidden, _, _) = made(turns=1), pairs()
    first, second = hidden[:, :3], hidden[:, 3:]
    state = (model.start(second).softmax(dim=1) * second).sum(dim=1)
    weights = torch.einsum("bsh,bh->bs", first, model.look(state)).softmax(dim=-1)
    found = torch.einsum("bs,bsh->bh", weights, first)
    wanted = model.classifier(torch.cat((found, state, (found - state).abs(), found * state), dim=-1))
    torch.testing.assert_close(model(*pairs()), wanted.log_softmax(dim=-1))


def test_state_is_carried_by_a_gated_recurrent_unit():
    model, cell = made(), nn.GRUCell(H, H).double()
    weights = {"weight_ih": model.input_gates.weight, "bias_ih": model.input_gates.bias}
    cell.load_state_dict(weights | {"weight_hh": model.state_gates.weight, "bias_hh": model.state_gates.bias})
    found, state = torch.randn(2, 4, H, dtype=torch.float64)
    torch.testing.assert_close(model._next_state(found, state), cell(found, state))


def test_padding_is_never_read():
    torch.testing.assert_close(made()(*pairs()), made()(*pairs(padding=4)))


def test_without_a_second_text_padding_is_not_read_either():
    hidden, mask, types = pairs(padding=4)
    alone = made()(hidden[:, :7], mask[:, :7], types[:, :7] * 0)
    torch.testing.assert_close(made()(hidden, mask, types * 0), alone)


def test_training_always_keeps_one_look(monkeypatch):
    each = torch.randn(5, 2, C, dtype=torch.float64).log_softmax(dim=-1)
    monkeypatch.setattr(san, "_DROPPED", 1.0)
    kept = san._mean_of_kept(each)
    for row in range(2):
        assert any(torch.allclose(kept[row], each[turn, row]) for turn in range(5))
    monkeypatch.setattr(san, "_DROPPED", 0.0)
    torch.testing.assert_close(san._mean_of_kept(each), each.exp().mean(dim=0).log())
