"""Hugging Face models behind one answer: `Outputs` for losses, `Runner` for the gate and the bench."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgedistill.data.batches import Encoded
from edgedistill.errors import CheckpointError, DataError
from edgedistill.models.outputs import Outputs, Want
from edgedistill.models.scores import recorded_scores
from edgedistill.runner import Arrays, Runner

_LOGITS_ONLY = Want()


def answer(model: nn.Module, encoded: Encoded, want: Want = _LOGITS_ONLY) -> Outputs:
    """Run a transformers model of any family (BERT, DistilBERT, MobileBERT, RoBERTa, ...) and head.

    What autocast computed in half precision is given in float32, so that every loss is computed in float32.
    Attentions come after the softmax. In training mode they would also come after dropout, so a teacher must be
    in evaluation mode, and a student whose attentions are compared needs an attention dropout of 0.

    Args:
        model: a transformers model with `attn_implementation="eager"` where attentions are wanted.
        encoded: the tokens.
        want: what to return beside the logits.

    Raises:
        CheckpointError: attentions are wanted from an attention that does not return them, or scores from a family
            whose queries and keys are not known here.
    """
    inputs = {"input_ids": encoded.input_ids, "attention_mask": encoded.attention_mask}
    if _takes_segments(type(model)):
        inputs["token_type_ids"] = encoded.token_type_ids
    # None, not False, leaves the switch at the configuration's value: transformers warns about some heads otherwise.
    listening: AbstractContextManager[list[Tensor]] = recorded_scores(model) if want.scores else nullcontext([])
    with _only(model, want.words), listening as scores:
        found = model(
            **inputs,
            output_hidden_states=bool(want.hidden or want.cls) or None,
            output_attentions=want.attentions or None,
            return_dict=True,
        )
    attentions = tuple(found.attentions or ()) if want.attentions else ()
    if want.attentions and not attentions:
        raise CheckpointError(
            f"{type(model).__name__} returned no attentions. Load it with attn_implementation='eager'."
        )
    logits, next_sentence = _logits(found), found.get("seq_relationship_logits")
    return Outputs(
        logits=None if logits is None else _whole(logits),
        hidden=tuple(map(_whole, found.hidden_states)) if want.hidden else (),
        attentions=tuple(map(_whole, attentions)),
        cls=_first_tokens(found.hidden_states, want.cls) if want.cls else None,
        scores=tuple(scores),
        next_sentence=None if next_sentence is None else _whole(next_sentence),
    )


_WORD_HEADS = ("cls", "lm_head", "vocab_transform")
"""What the last hidden states go through first, by family: BERT and MobileBERT, RoBERTa, DistilBERT."""


@contextmanager
def _only(model: nn.Module, words: Tensor | None) -> Iterator[None]:
    """Let a masked-word head see the hidden words alone.

    Raises:
        CheckpointError: the model has no such head.
    """
    if words is None:
        yield
        return
    head = next((getattr(model, name) for name in _WORD_HEADS if hasattr(model, name)), None)
    if head is None:
        raise CheckpointError(f"{type(model).__name__} guesses no hidden words. Use a checkpoint with a MaskedLM head.")
    handle = head.register_forward_pre_hook(lambda module, inputs: (inputs[0][words], *inputs[1:]))
    try:
        yield
    finally:
        handle.remove()


def torch_runner(model: nn.Module) -> Runner:
    """The model as a function of named arrays, in evaluation mode and without gradients.

    Outputs have Hugging Face's names: `logits`, or `start_logits` and `end_logits`, or `last_hidden_state`.
    """
    longest = longest_input(model)
    device = next(model.parameters()).device

    def run(inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        length = inputs["input_ids"].shape[1]
        if length > longest:
            raise DataError(f"the text has {length} tokens; {type(model).__name__} takes {longest}. Cut it first.")
        tensors = {name: torch.as_tensor(np.asarray(value), device=device).long() for name, value in inputs.items()}
        if not _takes_segments(type(model)):
            tensors.pop("token_type_ids", None)
        was_training = model.training
        model.eval()
        with torch.inference_mode():
            found = model(**tensors, return_dict=True)
        model.train(was_training)
        return {
            name: found[name].float().cpu().numpy()
            for name in ("logits", "start_logits", "end_logits", "last_hidden_state")
            if name in found
        }

    return run


def longest_input(model: nn.Module) -> int:
    """Tokens the model takes at most; RoBERTa's first positions are never used, and so not counted."""
    config: Any = model.config
    positions = int(config.max_position_embeddings)
    return positions - first_position(model)


def first_position(model: nn.Module) -> int:
    """Row of the position table that the first token reads: 0, but padding's id + 1 in RoBERTa's family."""
    config: Any = model.config
    is_offset = config.model_type in {"roberta", "xlm-roberta", "camembert", "mpnet"}
    return int(config.pad_token_id) + 1 if is_offset else 0


def _first_tokens(hidden_states: Sequence[Tensor], layers: Sequence[int]) -> Tensor:
    return torch.stack([_whole(hidden_states[layer][:, 0]) for layer in layers], dim=1)


def _whole(output: Tensor) -> Tensor:
    return output.float() if output.dtype in (torch.bfloat16, torch.float16) else output


def _takes_segments(family: type[nn.Module]) -> bool:
    return "token_type_ids" in inspect.signature(family.forward).parameters


def _logits(found: Any) -> Tensor | None:
    if "start_logits" in found:
        return torch.stack((found["start_logits"], found["end_logits"]), dim=-1)
    for name in ("logits", "prediction_logits"):
        if name in found:
            logits = found[name]
            assert isinstance(logits, Tensor)
            return logits
    return None
