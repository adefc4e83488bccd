"""The same text gets the same answer, however it is padded and whatever shares its batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgedistill import parity
from edgedistill.data.encoding import Encoding, pad
from edgedistill.evaluate import Floats, is_per_token
from edgedistill.gate.case import Case
from edgedistill.gate.rungs import finding, judged, measure
from edgedistill.reports import Finding, Rung

NAME, TITLE = "padding_and_batch", "Padding and neighbours do not change an answer"

_TEXTS = 8
_MORE_PADDING = 8


def invariance_rung(case: Case) -> Rung:
    """Ask some texts alone, padded to several lengths, and together in one batch."""
    texts = _texts(case)
    alone = case.joined(case.run(texts, batch_size=1))
    padded, repeated = [], []
    for place, text in enumerate(texts):
        for length in _lengths(case, len(text)):
            padded.append(_padded(case, text, length))
            repeated.append(alone[place])
    together = case.joined(case.run(texts, batch_size=len(texts)))
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
    if case.scheme.activations <= 8:
        return case.tolerances.int8_padding_relative
    return case.tolerances.fp16_relative if case.scheme.activations == 16 else 10 * case.tolerances.fp32_relative


def _texts(case: Case) -> list[Encoding]:
    """Short to long goldens, and for every fixed length a text that fills it, so that padding means the next one."""
    plain = [e for e, is_odd in zip(case.golden_encodings, case.is_adversarial, strict=True) if not is_odd]
    by_length = sorted(plain or case.golden_encodings, key=len)
    picked = [by_length[n] for n in sorted({int(n) for n in np.linspace(0, len(by_length) - 1, _TEXTS)})]
    longest = max(case.golden_encodings, key=len)
    lengths = sorted(graph.length for graph in case.manifest.graphs if graph.length)
    return picked + [_cut(longest, length) for length in lengths[:-1] if length <= len(longest)]


def _cut(encoding: Encoding, length: int) -> Encoding:
    """The first `length` tokens, the last of them the one that ends every text."""
    ids, types = encoding.input_ids, encoding.token_type_ids
    return Encoding((*ids[: length - 1], ids[-1]), (*types[: length - 1], types[-1]))


def _lengths(case: Case, size: int) -> list[int]:
    """Lengths to pad a text to: a little, more, and up to every fixed length."""
    longest = case.manifest.tokenizer.max_length
    fixed = [graph.length for graph in case.manifest.graphs if graph.length]
    wanted = {size + 1, size + _MORE_PADDING, 2 * size, *fixed}
    return sorted(length for length in wanted if size < length <= min(longest, max(fixed, default=longest)))


def _padded(case: Case, text: Encoding, length: int, hidden_id: int | None = None) -> Floats:
    """The outputs for a text padded to `length`; `hidden_id` is put under the mask from the second pad on."""
    inputs = pad([text], length, case.pad_id)
    if hidden_id is not None:
        inputs["input_ids"][:, len(text) + 1 :] = hidden_id
    outputs = {}
    for name, values in case.runner(inputs).items():
        value = values[0, : len(text)] if is_per_token(name, values, length) else values[0]
        outputs[name] = [np.array(value, dtype=np.float32)]
    return case.joined(outputs)[0]


def _padding_fault(case: Case, texts: Sequence[Encoding], alone: Sequence[Floats]) -> Finding:
    """Which of two faults: the row of PAD read by a neighbour, or a mask that is not applied.

    A convolution over neighbours (MobileBERT's trigram) reads the one pad beside the text and no other, so what
    lies under the mask further on does not matter to it. A mask that is not applied lets everything through.
    """
    limit = _limit(case)
    longest = case.manifest.tokenizer.max_length
    unk = case.manifest.tokenizer.special_ids.get("unk", case.pad_id + 1)
    short = [n for n, text in enumerate(texts) if len(text) + _MORE_PADDING <= longest][:4]
    if not short:
        return finding("padding_changes_answer", "a text's answer changes when it is padded.")
    lengths = [len(texts[n]) + _MORE_PADDING for n in short]
    with_pads = [_padded(case, texts[n], length) for n, length in zip(short, lengths, strict=True)]
    with_others = [_padded(case, texts[n], length, unk) for n, length in zip(short, lengths, strict=True)]
    change = parity.difference([alone[n] for n in short], with_pads).relative
    if parity.difference(with_pads, with_others).relative > limit:
        return finding(
            "mask_ignored",
            f"padding changes answers by {change:.2g} (relative), and so does what lies under the mask: "
            "the attention mask is not applied.",
        )
    return finding(
        "padding_row",
        f"padding changes answers by {change:.2g} (relative) although what lies further under the mask does not: "
        f"the embedding row of PAD (id {case.pad_id}) is not zero and the token beside it reads it. "
        "Zero that row in the student, or multiply the embeddings by the mask, and export again.",
    )
