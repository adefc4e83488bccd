"""Knowledge transfer between two whole stacks of layers (Sun et al., 2020, MobileBERT, section 3.5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from edgedistill.losses.attention import attention_kl
from edgedistill.losses.hidden import feature_map, feature_mean, feature_variance
from edgedistill.models.outputs import Outputs

FEATURES = {"feature": feature_map, "mean": feature_mean, "variance": feature_variance}


def transfer_terms(
    weights: Mapping[str, float],
    student: Outputs,
    teacher: Outputs,
    mask: Tensor,
    follows: Sequence[int],
    *,
    is_reference: bool = False,
) -> dict[str, Tensor]:
    """The weighted losses, each the mean over the student's layers; the embedding output is no layer.

    Args:
        weights: of `feature`, `mean`, `variance` and `attention`; a term of weight 0 is left out.
        student: with hidden states and attentions, as far as they are weighed.
        teacher: likewise, of the same width and as many heads.
        mask: (B, S), non-zero for real tokens.
        follows: teacher layer (from 1) of every student layer.
        is_reference: as in the authors' code: every layer's mean and variance are compared with those of all the
            teacher's hidden states at once, by mistake, so that each layer is drawn to the average over all; and
            attentions by cross entropy, which ends at the teacher's entropy.

    Returns:
        Scalars by name, in the units of `losses.hidden` and `losses.attention` times their weight.
    """
    terms = {}
    for name, loss in FEATURES.items():
        if weights[name]:
            is_mixed = is_reference and name != "feature"
            pairs = [
                (student.hidden[own], given)
                for own, theirs in enumerate(follows, start=1)
                for given in (teacher.hidden if is_mixed else (teacher.hidden[theirs],))
            ]
            terms[name] = weights[name] * torch.stack([loss(ours, given, mask) for ours, given in pairs]).mean()
    if weights["attention"]:
        pairs = [(student.attentions[own], teacher.attentions[theirs - 1]) for own, theirs in enumerate(follows)]
        values = [attention_kl(ours, theirs, mask, adds_entropy=is_reference) for ours, theirs in pairs]
        terms["attention"] = weights["attention"] * torch.stack(values).mean()
    return terms
