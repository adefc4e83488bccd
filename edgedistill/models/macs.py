"""What a FastBERT's answers cost, in multiply-accumulates (MACs), by the paper's rule and as they are computed.

The paper counts linear layers only, over every token of the padded input, and calls two operations per MAC "FLOPs"; its
code's counter leaves the last projection of a classifier out. Current counters print MACs, half of that.

Reference: Liu et al., 2020 (FastBERT), section 4.2 and table 1.
"""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from edgedistill.reports import FlopsCount, MacsRule

RULES: tuple[MacsRule, ...] = get_args(MacsRule)
Lengths = NDArray[np.int64] | int


def layer_macs(config: Any, length: Lengths, *, with_products: bool = False) -> Any:
    """MACs of one layer.

    Args:
        config: of a BERT.
        length: tokens, one number or an array of them.
        with_products: count the products of attention (queries by keys, weights by values) too.

    Returns:
        An integer, or an array of them.
    """
    width, inner = int(config.hidden_size), int(config.intermediate_size)
    linear = (4 * width * width + 2 * width * inner) * length
    return linear + (2 * width * length * length if with_products else 0)


def classifier_macs(config: Any, length: Lengths, *, as_computed: bool = False, is_last: bool = False) -> Any:
    """MACs of one classifier.

    Args:
        config: of a FastBERT.
        length: tokens, one number or an array of them.
        as_computed: count attention's products, and the query and output of the first token only, as nothing else is
            read; otherwise the paper's count, linear layers with a query for every token.
        is_last: the last one, which may be a BERT's own head.

    Returns:
        An integer, or an array of them.
    """
    hidden, classes = int(config.hidden_size), int(config.num_labels)
    if is_last and config.last_classifier == "pooled":
        return hidden * hidden + hidden * classes + 0 * length
    size = int(config.classifier_size)
    answer = size * size + size * classes
    if as_computed:
        return (hidden * size + 2 * size * size + 2 * size) * length + 2 * size * size + answer
    return (hidden * size + 4 * size * size) * length + answer


def exit_macs(config: Any, length: Lengths, *, as_computed: bool = False) -> list[Any]:
    """MACs up to each exit: its layers, and every classifier that was asked on the way.

    Returns:
        An integer or array per layer, rising.
    """
    depth, totals, spent = int(config.num_hidden_layers), [], 0 * length
    for number in range(1, depth + 1):
        spent = spent + layer_macs(config, length, with_products=as_computed)
        spent = spent + classifier_macs(config, length, as_computed=as_computed, is_last=number == depth)
        totals.append(spent)
    return totals


def full_macs(config: Any, length: Lengths, *, as_computed: bool = False) -> Any:
    """MACs of the model without early exits: every layer, and the last classifier."""
    layers = int(config.num_hidden_layers) * layer_macs(config, length, with_products=as_computed)
    return layers + classifier_macs(config, length, as_computed=as_computed, is_last=True)


def flops(config: Any, macs: Any, classifiers: Any, count: FlopsCount = "paper") -> Any:
    """Published FLOPs: two a MAC.

    Args:
        config: of a FastBERT.
        macs: by the paper's rule, at the padded length.
        classifiers: how many were asked on the way.
        count: "reference" leaves their last projections out.
    """
    size = config.classifier_size * config.num_labels
    return 2 * (macs - classifiers * size) if count == "reference" else 2 * macs
