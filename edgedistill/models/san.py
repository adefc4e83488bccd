"""The stochastic answer network: a classifier of pairs that looks at the first text several times before it answers.

Reference: Liu et al., 2018, arXiv:1804.07888; as the pair head of MT-DNN: Liu et al., 2019, arXiv:1901.11504,
section 3.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

TURNS = 5
"""Looks in the authors' code."""
_DROPPED = 0.1
"""Share of a row's looks left out of its answer while training, at least one kept (the authors' 0.1)."""
_OTHER_TEXT, _PADDING = -1e4, -2e4
"""Added to scores of tokens not looked at; two steps, so that where the wanted text has no token the other one is read
and never the padding. Both fit into float16."""


class StochasticAnswer(nn.Module):
    """From the tokens' states of a pair to the log of a distribution over classes."""

    def __init__(self, hidden_size: int, num_classes: int, dropout: float = 0.0, turns: int = TURNS) -> None:
        """Make it; the model it is part of chooses its first weights.

        Args:
            hidden_size: H, of the encoder.
            num_classes: C.
            dropout: of the states and of what each look finds.
            turns: how often it looks, at least 1; with 1 it is one classifier.
        """
        super().__init__()
        self.turns = turns
        self.start = nn.Linear(hidden_size, 1)
        self.look = nn.Linear(hidden_size, hidden_size, bias=False)
        # A GRU cell in two linear layers: every runtime has them.
        self.input_gates = nn.Linear(hidden_size, 3 * hidden_size)
        self.state_gates = nn.Linear(hidden_size, 3 * hidden_size)
        self.classifier = nn.Linear(4 * hidden_size, num_classes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        """Answer a batch of pairs.

        Args:
            hidden: (B, S, H) float, the encoder's last states.
            attention_mask: (B, S), 1 for real tokens.
            token_type_ids: (B, S), 1 for the second text.

        Returns:
            (B, C) float, natural logarithms of probabilities: the mean of what each look answered.
        """
        hidden = self.dropout(hidden)
        padding = (1.0 - attention_mask.to(hidden.dtype)) * _PADDING
        is_second = token_type_ids.to(hidden.dtype)
        first = is_second * _OTHER_TEXT + padding
        second = (1.0 - is_second) * _OTHER_TEXT + padding

        state = _read(hidden, self.start(hidden).squeeze(-1) + second)
        answers = []
        for turn in range(self.turns):
            found = _read(hidden, (hidden * self.look(state).unsqueeze(1)).sum(dim=-1) + first)
            both = torch.cat((found, state, (found - state).abs(), found * state), dim=-1)
            answers.append(self.classifier(self.dropout(both)).log_softmax(dim=-1))
            if turn + 1 < self.turns:
                state = self._next_state(found, state)
        each = torch.stack(answers)
        if self.training:
            return _mean_of_kept(each)
        return each.logsumexp(dim=0) - math.log(self.turns)

    def _next_state(self, found: Tensor, state: Tensor) -> Tensor:
        """(B, H): one step of a gated recurrent unit."""
        reset_in, keep_in, new_in = self.input_gates(self.dropout(found)).chunk(3, dim=-1)
        reset_own, keep_own, new_own = self.state_gates(self.dropout(state)).chunk(3, dim=-1)
        keep = torch.sigmoid(keep_in + keep_own)
        new = torch.tanh(new_in + torch.sigmoid(reset_in + reset_own) * new_own)
        return (1.0 - keep) * new + keep * state


def _read(hidden: Tensor, scores: Tensor) -> Tensor:
    """(B, S, H) weighted by the softmax of (B, S) scores: (B, H)."""
    return (scores.softmax(dim=-1).unsqueeze(-1) * hidden).sum(dim=1)


def _mean_of_kept(each: Tensor) -> Tensor:
    """The log of the mean of (K, B, C) log distributions over a random part of the K, for each row its own."""
    is_kept = torch.rand(each.shape[:2], device=each.device) >= _DROPPED
    always = torch.randint(len(each), (each.shape[1],), device=each.device)
    is_kept[always, torch.arange(each.shape[1], device=each.device)] = True
    kept = each.masked_fill(~is_kept.unsqueeze(-1), -torch.inf)
    return kept.logsumexp(dim=0) - is_kept.sum(dim=0).to(each.dtype).log().unsqueeze(-1)
