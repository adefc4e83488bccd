import pytest
import torch
from torch import nn

from edgedistill.errors import ConfigError
from edgedistill.training.lamb import Lamb
from edgedistill.training.loop import fit
from edgedistill.training.optimizer import clip_gradients, layer_factors, optimizer_of, trained_parameters
from edgedistill.training.stage import OptimConfig, Stage
from tests.support import TinyRows
from tests.training.stages import OPTIM, Stop, lines, same, stage, stop_at, weights


def stepped(start, gradients, **group):
    weight = nn.Parameter(torch.tensor(start))
    optimizer = Lamb([{"params": [weight], **group}], lr=0.1, eps=0.0, weight_decay=group.get("weight_decay", 0.0))
    for gradient in gradients:
        weight.grad = torch.tensor(gradient)
        optimizer.step()
    return weight.detach()


def test_the_first_step_by_hand():
    """Bias-corrected, the first direction is the gradient's sign: length 2; the weights' size is 10, so 5 times it."""
    start = [[6.0, 0.0], [0.0, 8.0]]
    found = stepped(start, [[[2.0, -1.0], [0.5, -3.0]]])
    expected = torch.tensor(start) - 0.1 * (10 / 2) * torch.tensor([[1.0, -1.0], [1.0, -1.0]])
    torch.testing.assert_close(found, expected)


def test_two_steps_by_hand_with_weight_decay():
    w, m, v = torch.tensor([[3.0, 4.0]], dtype=torch.float64), 0.0, 0.0
    gradients = [[[1.0, 2.0]], [[-2.0, 0.5]]]
    for number, gradient in enumerate(gradients, start=1):
        g = torch.tensor(gradient, dtype=torch.float64)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        r = (m / (1 - 0.9**number)) / (v / (1 - 0.999**number)).sqrt() + 0.2 * w
        w = w - 0.1 * w.norm() / r.norm() * r
    torch.testing.assert_close(stepped([[3.0, 4.0]], gradients, weight_decay=0.2), w.float(), rtol=1e-5, atol=1e-5)


def test_vectors_take_adams_step_and_zero_weights_move():
    torch.testing.assert_close(stepped([3.0, 4.0], [[1.0, -1.0]]), torch.tensor([2.9, 4.1]))
    torch.testing.assert_close(stepped([[0.0, 0.0]], [[[1.0, -1.0]]]), torch.tensor([[-0.1, 0.1]]))


def test_the_step_does_not_depend_on_the_loss_s_scale():
    start = [[1.0, 2.0], [3.0, 4.0]]
    one = stepped(start, [[[1.0, -2.0], [0.5, 3.0]]])
    torch.testing.assert_close(stepped(start, [[[1e3, -2e3], [5e2, 3e3]]]), one)


@pytest.mark.parametrize(("name", "lr"), [("lamb", 0.02), ("adamax", 0.01), ("adadelta", 1.0)])
def test_the_loop_trains_with_it_and_resumes_bit_equal(tmp_path, name, lr):
    optim = OPTIM.model_copy(update={"optimizer": name, "lr": lr, "max_steps": 12, "eps": 1e-6})
    straight = stage(optim)
    fit(straight, tmp_path / "straight", seed=0)
    losses = [line["loss"] for line in lines(tmp_path / "straight")]
    assert losses[-1] < losses[0]
    with pytest.raises(Stop):
        fit(stage(optim, hook=stop_at(5)), tmp_path / "cut", seed=0, save_every_s=0.0)
    resumed = stage(optim)
    fit(resumed, tmp_path / "cut", seed=0)
    assert same(weights(straight.model), weights(resumed.model))


@pytest.mark.parametrize("name", ["adamax", "adadelta"])
def test_the_papers_optimisers_step_as_worked_by_hand(name):
    """Adamax: bias-corrected mean over the largest gradient, the sign in the first step; AdaDelta: as below."""
    weight = nn.Parameter(torch.tensor([[1.0, -2.0]], dtype=torch.float64))
    model = nn.Module()
    model.weight = weight
    optim = OptimConfig(optimizer=name, lr=0.1, betas=(0.95, 0.999), eps=1e-6, weight_decay=0.0)
    optimizer = optimizer_of(Stage("s", model, TinyRows(8), lambda batch: {}, optim), {"model.weight": weight})
    weight.grad = torch.tensor([[4.0, -9.0]], dtype=torch.float64)
    optimizer.step()
    moved = (torch.tensor([[1.0, -2.0]], dtype=torch.float64) - weight.detach()).tolist()[0]
    if name == "adamax":
        assert moved == pytest.approx([0.1, -0.1], rel=1e-5)
    else:  # sqrt(0 + eps) / sqrt(0.05 g g + eps) g, times the rate
        assert moved == pytest.approx([0.1 * 1e-3 / 0.05**0.5, -0.1 * 1e-3 / 0.05**0.5], rel=1e-4)


@pytest.mark.parametrize("norm", [1e-9, 0.5, 0.999999, 0.999995, 1.0, 1.000001, 3.0, float("inf"), float("nan")])
def test_gradients_are_clipped_to_the_bit_as_torch_does(norm):
    torch.manual_seed(0)
    drawn = [torch.randn(7, 5), torch.randn(11)]
    length = float(nn.utils.get_total_norm(drawn))
    ours, theirs = ([nn.Parameter(torch.zeros_like(one)) for one in (*drawn, torch.zeros(3))] for _ in range(2))
    for weights_of in (ours, theirs):
        for weight, gradient in zip(weights_of, drawn, strict=False):  # the last one has none
            weight.grad = gradient * (norm / length)
    found, expected = clip_gradients(iter(ours), 1.0), float(nn.utils.clip_grad_norm_(theirs, 1.0))
    assert found == expected or (found != found and expected != expected)
    for one, other in zip(ours[:2], theirs[:2], strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=0, atol=0, equal_nan=True)
    assert ours[2].grad is None


def test_gradients_that_are_short_enough_are_not_touched(monkeypatch):
    monkeypatch.setattr(nn.utils, "clip_grads_with_norm_", lambda *_: pytest.fail("scaled"))
    weight = nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([0.3, 0.4])
    assert clip_gradients([weight], 1.0) == pytest.approx(0.5)


NAMES = ["bert.embeddings.word.weight", "bert.encoder.layer.0.ffn.1.weight", "bert.encoder.layer.1.bias",
         "bert.pooler.weight", "classifier.weight"]  # fmt: skip


@pytest.mark.parametrize("path", ["bert.encoder.layer.", "distilbert.transformer.layer.", "model.layers."])
def test_each_layer_learns_slower_than_the_one_above_it(path):
    names = [name.replace("bert.encoder.layer.", path) for name in NAMES]
    assert list(layer_factors(names, 0.5).values()) == [0.125, 0.25, 0.5, 1.0, 1.0]
    assert set(layer_factors(names, 1.0).values()) == {1.0}


def test_a_decoders_layers_are_above_its_encoders():
    names = ["shared.weight", *(f"{part}.layers.{n}.fc1.bias" for part in ("encoder", "decoder") for n in range(2))]
    assert list(layer_factors(names, 0.5).values()) == [0.03125, 0.0625, 0.125, 0.25, 0.5]


def test_layer_wise_rates_without_layers_are_refused():
    with pytest.raises(ConfigError, match="layer_decay: this model has no layers"):
        layer_factors(["lstm.weight_ih_l0", "output.weight"], 0.9)


def test_layer_wise_rates_go_on_top_of_a_stages_own_pace_and_leave_the_scaffold_alone():
    layers = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
    model = nn.ModuleDict({"embeddings": nn.Linear(2, 2), "layer": layers, "answer": nn.Linear(2, 2)})
    chosen = OPTIM.model_copy(update={"layer_decay": 0.5})
    faster = {"answer.bias": 3.0}
    one = Stage("s", model, TinyRows(), None, chosen, scaffold=nn.Linear(2, 1), pace=lambda name: faster.get(name, 1.0))
    parameters = trained_parameters(one)
    groups = optimizer_of(one, parameters).param_groups
    paces = {id(parameter): group["pace"] for group in groups for parameter in group["params"]}
    asked = "embeddings.weight", "layer.0.bias", "layer.1.weight", "answer.weight", "answer.bias"
    assert [paces[id(parameters[f"model.{name}"])] for name in asked] == [0.125, 0.25, 0.5, 1.0, 3.0]
    assert paces[id(parameters["scaffold.weight"])] == 1.0
