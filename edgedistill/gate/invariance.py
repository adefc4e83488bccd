"""The same text gets the same answer, however it is padded and whatever shares its batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgedistill import parity
from edgedistill.data.encoding import Encoding, pad
from edgedistill.evaluate import Floats
from edgedistill.gate.case import Case
from edgedistill.gate.rungs import finding, judged, measure, not_run
from edgedistill.reports import Finding, Rung
from edgedistill.runner import is_per_token

NAME, TITLE = "padding_and_batch", "Padding and neighbours do not change an answer"

_TEXTS = 8
_MORE_PADDING = 8
_WORST = 4
_FILLING = 4


def invariance_rung(case: Case) -> Rung:
    """Ask some texts alone, padded to several lengths, and together in one batch."""
    texts = _texts(case)
    alone = case.joined(case.run(texts, batch_size=1))
    padded, repeated = [], []
    for place, text in enumerate(texts):
        for length in _lengths(case, len(text)):
            padded.append(_padded(case, text, length))
            repeated.append(alone[place])
    if not padded:
        return not_run(NAME, TITLE, "its one length pads every text alike, so the rungs beside this one judge it")
    together = case.joined(case.run_together(texts))
    limit = _limit(case)
    by_padding, by_batch = parity.difference(repeated, padded), parity.difference(alone, together)
    measures = [
        measure("padding_relative", by_padding.relative, limit),
        measure("batch_relative", by_batch.relative, limit),
    ]
    findings = []
    if by_padding.relative > limit:
        findings.append(_padding_fault(case, texts, alone))
    elif by_batch.relative > limit:
        findings.append(finding("batch_changes_answer", "a text's answer depends on the other texts of its batch."))
    return judged(NAME, TITLE, measures, findings, rows=len(texts))


def _limit(case: Case) -> float:
    quantization = case.manifest.quantization
    bits = (quantization.activations if quantization else None) or case.scheme.activations
    if bits <= 8:
        return case.tolerances.int8_padding_relative
    return case.tolerances.fp16_relative if bits == 16 else case.tolerances.fp32_relative


def _texts(case: Case) -> list[Encoding]:
    """Short to long goldens, and for every fixed length texts that fill it, so that padding means the next one."""
    plain = [e for e, is_odd in zip(case.golden_encodings, case.is_adversarial, strict=True) if not is_odd]
    by_length = sorted(plain or case.golden_encodings, key=len)
    picked = [by_length[n] for n in sorted({int(n) for n in np.linspace(0, len(by_length) - 1, _TEXTS)})]
    longest = sorted(case.golden_encodings, key=len, reverse=True)
    filling = [
        _cut(text, length)
        for length in case.fixed_lengths[:-1]
        for text in [text for text in longest if len(text) >= length][:_FILLING]
    ]
    return picked + filling


def _cut(encoding: Encoding, length: int) -> Encoding:
    """The first `length` tokens, the last of them the one that ends every text."""
    ids, types = encoding.input_ids, encoding.token_type_ids
    return Encoding((*ids[: length - 1], ids[-1]), (*types[: length - 1], types[-1]))


def _lengths(case: Case, size: int) -> list[int]:
    """Lengths to pad a text to: every graph longer than its own, or where the length is free, a little and more."""
    longest = case.manifest.tokenizer.max_length
    own = min((length for length in case.fixed_lengths if length >= size), default=size)
    wanted = case.fixed_lengths or sorted({size + 1, size + _MORE_PADDING, 2 * size, longest})
    return [length for length in wanted if own < length <= longest]


def _padded(case: Case, text: Encoding, length: int, near: int | None = None, far: int | None = None) -> Floats:
    """The outputs for a text padded to `length`; `near` is put under the mask beside the text, `far` further on."""
    inputs = pad([text], length, case.pad_id)
    ids, size = inputs["input_ids"], len(text)
    ids[:, size : size + 1] = case.pad_id if near is None else near
    ids[:, size + 1 :] = case.pad_id if far is None else far
    outputs = {}
    runner = case.at_length(length) if case.at_length else case.runner
    for name, values in runner(inputs).items():
        value = values[0, :size] if is_per_token(name, values) else values[0]
        outputs[name] = [np.array(value, dtype=np.float32)]
    return case.joined(outputs)[0]


def _far(case: Case, size: int) -> int | None:
    """A length with at least two pads, so that one of them is not beside the text; None where none is left."""
    return next((length for length in _lengths(case, size) if length >= size + 2), None)


def _padding_fault(case: Case, texts: Sequence[Encoding], alone: Sequence[Floats]) -> Finding:
    """Tell a mask that is not applied from a row of PAD that a neighbour reads, and both from a mask too weak.

    Other tokens are put under the mask. A mask that is not applied lets all of them through. A convolution over
    neighbours (MobileBERT's trigram) reads the one beside the text and no other.
    """
    if not all(np.isfinite(answer).all() for answer in alone):
        return finding("not_finite", "answers hold NaN or infinity: nothing can be told of their padding.")
    chosen = [(n, length) for n, text in enumerate(texts) if (length := _far(case, len(text)))]
    if not chosen:
        return finding("padding_changes_answer", "a text's answer changes when it is padded.")
    padded = {n: _padded(case, texts[n], length) for n, length in chosen}
    worst = sorted(chosen, key=lambda pair: -parity.difference([alone[pair[0]]], [padded[pair[0]]]).relative)[:_WORST]
    with_pads = [padded[n] for n, _ in worst]
    other = case.manifest.tokenizer.special_ids.get("unk", case.pad_id + 1)
    change = f"padding changes answers by {parity.difference([alone[n] for n, _ in worst], with_pads).relative:.2g}"

    def matters(**under_the_mask: int) -> bool:
        changed = [_padded(case, texts[n], length, **under_the_mask) for n, length in worst]
        return parity.difference(with_pads, changed).relative > _limit(case)

    if matters(far=other):
        message = f"{change} (relative), and so does what lies under the mask: the attention mask is not applied."
        return finding("mask_ignored", message)
    if matters(near=other):
        return finding(
            "padding_row",
            f"{change} (relative), and so does the token under the mask beside the text, but none further on: the "
            f"embedding row of PAD (id {case.pad_id}) is not zero and a neighbour reads it. "
            "Zero that row in the student, or multiply the embeddings by the mask, and export again.",
        )
    if case.fixed_lengths:
        return finding(
            "lengths_differ",
            f"{change} (relative), whatever lies under the mask: the graph of one length does not compute what that of "
            "another does. Export again; if it stays, the student's attention scores outgrow the mask's bias.",
        )
    return finding(
        "mask_too_weak",
        f"{change} (relative), whatever lies under the mask: attention scores of this student are larger than the "
        "bias that is to hide padding, as in an untrained or diverged model.",
    )
