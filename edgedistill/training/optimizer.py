"""What a stage's parameters are updated with: the optimiser, the learning-rate schedule, and the precision."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from edgedistill.errors import ConfigError, TrainingError
from edgedistill.training.lamb import Lamb
from edgedistill.training.stage import OptimConfig, Stage

_MODEL = "model"
_LAYER = re.compile(r"(?:.*?\.)?layers?\.\d+\.")
"""The beginning of a parameter's name: the layer that it is in, whatever the family."""
_NORM_EPS = 1e-5
"""More than torch adds to a norm before it divides by it, rounding included: below, its factor is 1."""


def trained_parameters(stage: Stage) -> dict[str, nn.Parameter]:
    """The parameters that learn, by name: the model's that require a gradient, and the scaffold's.

    Raises:
        TrainingError: there is none.
    """
    parts = {_MODEL: stage.model} | ({} if stage.scaffold is None else {"scaffold": stage.scaffold})
    found = {
        f"{part}.{name}": parameter
        for part, module in parts.items()
        for name, parameter in module.named_parameters()
        if parameter.requires_grad
    }
    if not found:
        raise TrainingError(f"stage '{stage.name}' has nothing to train: every parameter is frozen.")
    return found


def optimizer_of(stage: Stage, parameters: dict[str, nn.Parameter]) -> torch.optim.Optimizer:
    """The stage's optimiser, with weight decay on matrices only: biases and norms are vectors and have none.

    Args:
        stage: says how to optimise, and at what pace each parameter learns.
        parameters: of `trained_parameters`.

    Raises:
        ConfigError: layers shall learn at their own rates, and there are none.
    """
    optim = stage.optim
    decays = layer_factors([name for name, _ in stage.model.named_parameters()], optim.layer_decay)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in parameters.items():
        part, _, own_name = name.partition(".")
        pace = 1.0
        if part == _MODEL:
            pace = decays[own_name] * (1.0 if stage.pace is None else stage.pace(own_name))
        groups.setdefault((optim.weight_decay if parameter.dim() > 1 else 0.0, pace), []).append(parameter)
    listed = [{"params": group, "weight_decay": decay, "pace": pace} for (decay, pace), group in groups.items()]
    if optim.optimizer == "lamb":
        return Lamb(listed, lr=optim.lr, betas=optim.betas, eps=optim.eps)
    if optim.optimizer == "adamax":
        return torch.optim.Adamax(listed, lr=optim.lr, betas=optim.betas, eps=optim.eps)
    if optim.optimizer == "adadelta":
        return torch.optim.Adadelta(listed, lr=optim.lr, rho=optim.betas[0], eps=optim.eps)
    return torch.optim.AdamW(listed, lr=optim.lr, betas=optim.betas, eps=optim.eps, fused=True)


def layer_factors(names: Sequence[str], decay: float) -> dict[str, float]:
    """Each parameter's factor on the learning rate: `decay` for the last layer, and once more for each one below it.

    Args:
        names: the model's parameters from the input to the answer, as PyTorch lists them: those before the first layer
            are the embeddings, below all layers; those behind it that are in no layer are above all, at factor 1.
        decay: in 0..1; 1: one rate for all.

    Raises:
        ConfigError: other than 1 where no parameter is in a layer.

    Reference: Howard and Ruder, 2018 (ULMFiT), section 3.2; Clark et al., 2020 (ELECTRA), appendix B.
    """
    if decay == 1.0:
        return dict.fromkeys(names, 1.0)
    layers = {name: found[0] for name in names if (found := _LAYER.match(name))}
    if not layers:
        raise ConfigError("layer_decay: this model has no layers one above the other. Set it to 1.")
    place = {layer: number for number, layer in enumerate(dict.fromkeys(layers.values()))}  # a decoder's are on top
    first = names.index(next(iter(layers)))
    below = dict.fromkeys(names[:first], len(place) + 1)
    below |= {name: len(place) - place[layer] for name, layer in layers.items()}
    return {name: decay ** below.get(name, 0) for name in names}


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Use `lr`, times its own pace, for every parameter from the next step on."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["pace"]


def clip_gradients(parameters: Iterable[nn.Parameter], most: float) -> float:
    """Scale all gradients down together where their global norm is above `most`, to the bit as `clip_grad_norm_` does.

    That one multiplies by 1 where nothing is to be scaled: on a processor as long as measuring the norm took.

    Returns:
        Their norm before; not finite where a gradient is not.
    """
    learning = [parameter for parameter in parameters if parameter.grad is not None]
    norm = nn.utils.get_total_norm([parameter.grad for parameter in learning if parameter.grad is not None])
    found = float(norm)
    if not found + _NORM_EPS <= most:  # a NaN too is scaled, as it was
        nn.utils.clip_grads_with_norm_(learning, most, norm)
    return found


def learning_rate(optim: OptimConfig, done: float, step: float) -> float:
    """The rate of one step: a linear rise to `optim.lr`, then a linear fall that ends just above 0.

    Args:
        optim: how to optimise.
        done: share of the stage before this step, in 0..1.
        step: share of the stage this step makes up.
    """
    if done < optim.warmup:
        return optim.lr * min(1.0, (done + step) / optim.warmup)
    if optim.schedule == "constant":
        return optim.lr
    return optim.lr * max(0.0, 1.0 - done) / max(1.0 - optim.warmup, 1e-9)


def optimizer_tensors(optimizer: torch.optim.Optimizer, parameters: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    """The optimiser's memory as flat tensors, `<parameter>|<entry>`: no pickle is needed to store it."""
    found = {}
    for name, parameter in parameters.items():
        for entry, value in optimizer.state.get(parameter, {}).items():
            found[f"{name}|{entry}"] = torch.as_tensor(value)
    return found


def restore_optimizer(
    optimizer: torch.optim.Optimizer, parameters: dict[str, nn.Parameter], tensors: dict[str, Tensor]
) -> None:
    """Give an optimiser the memory that `optimizer_tensors` took from another one."""
    for name, state in _by_parameter(tensors):
        parameter = parameters[name]
        optimizer.state[parameter] = {entry: value.to(parameter.device) for entry, value in state.items()}


def _by_parameter(tensors: dict[str, Tensor]) -> Iterator[tuple[str, dict[str, Tensor]]]:
    grouped: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        name, _, entry = key.rpartition("|")
        grouped.setdefault(name, {})[entry] = value
    yield from grouped.items()


def autocast(device: torch.device, optim: OptimConfig) -> torch.autocast:
    """bf16 where it is asked for, or where the processor computes in it and nothing else was asked for."""
    is_on = optim.mixed_precision == "bf16" or (optim.mixed_precision == "auto" and computes_bf16(device))
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=is_on)


@contextmanager
def compiled(stage: Stage) -> Iterator[None]:
    """Let the model run through torch.compile where it is asked for; its weights keep their names."""
    if not stage.optim.compile:
        yield
        return
    # Batches differ in length: one translation serves all of them.
    stage.model.compile(dynamic=True)
    try:
        yield
    finally:
        stage.model._compiled_call_impl = None


def computes_bf16(device: torch.device) -> bool:
    """Whether bf16 is native here. Emulated bf16 is slower than fp32 and less exact."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    capabilities: dict[str, Any] = dict(torch.cpu.get_capabilities())
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
