"""The integers that the paper, its code and its users' logs print."""

import numpy as np
import pytest
import torch
from torch import nn

from edgedistill.models.fastbert import FastBertConfig
from edgedistill.models.macs import classifier_macs, exit_macs, flops, full_macs, layer_macs
from tests.models.test_fastbert import made

PAPER = FastBertConfig(num_labels=2)
LENGTH = 128


def test_one_layer():
    assert layer_macs(PAPER, LENGTH) == 905_969_664
    assert 4 * 768**2 * LENGTH * 2 == 603_979_776  # table 1's self-attention, 603.0M FLOPs
    assert layer_macs(PAPER, LENGTH) * 2 == 603_979_776 + 1_207_959_552  # and its feed-forward network, 1207.9M


def test_one_classifier():
    assert classifier_macs(PAPER, LENGTH) == 20_988_160
    assert classifier_macs(PAPER, LENGTH) / layer_macs(PAPER, LENGTH) == pytest.approx(0.023, abs=5e-4)


def test_the_whole_model_as_current_counters_and_as_the_authors_readme_print_it():
    assert full_macs(PAPER, LENGTH) == 10_892_624_128
    assert flops(PAPER, full_macs(PAPER, LENGTH), 1) == 2 * 10_892_624_128
    assert flops(PAPER, full_macs(PAPER, LENGTH), 1, "reference") == 21_785_247_744


def test_attention_products():
    assert (
        layer_macs(PAPER, LENGTH, with_products=True) - layer_macs(PAPER, LENGTH) == 2 * 128 * 128 * 768 == 25_165_824
    )


def test_every_exit_pays_for_its_layers_and_all_classifiers_before_it():
    totals = exit_macs(PAPER, LENGTH)
    assert totals[0] == 905_969_664 + 20_988_160
    assert totals[-1] == 12 * (905_969_664 + 20_988_160) == full_macs(PAPER, LENGTH) + 11 * 20_988_160


def test_lengths_in_an_array_are_counted_one_by_one():
    lengths = np.array([5, 17, 128])
    for as_computed in (False, True):
        together = exit_macs(PAPER, lengths, as_computed=as_computed)
        for place, length in enumerate(lengths.tolist()):
            assert [total[place] for total in together] == exit_macs(PAPER, length, as_computed=as_computed)


@pytest.mark.parametrize("keeps_head", [False, True])
def test_products_as_computed_are_those_that_torch_counts(keeps_head):
    from torch.utils.flop_counter import FlopCounterMode

    from tests.models.test_early_exit import one
    from tests.models.test_fastbert import tokens

    model, encoded = made(keeps_head), one(tokens(), 0)
    length = encoded.input_ids.shape[1]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.exit_logits(encoded)
    assert counter.get_total_flops() == 2 * exit_macs(model.config, length, as_computed=True)[-1]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(encoded.input_ids, encoded.attention_mask)
    assert counter.get_total_flops() == 2 * full_macs(model.config, length, as_computed=True)


def test_linear_layers_are_those_of_the_model():
    """The paper's rule, from the model's own linears: each counts its weights once a token that it reads."""
    model, per_token = made(), 0
    for name, module in model.bert.encoder.layer[0].named_modules():
        if isinstance(module, nn.Linear):
            assert name
            per_token += module.weight.numel()
    assert layer_macs(model.config, 10) == 10 * per_token
