"""Why an artifact differs from its student: hypotheses are tested one by one until one explains the outputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from edgedistill import parity
from edgedistill.data.encoding import pad
from edgedistill.evaluate import Floats
from edgedistill.gate.case import Case
from edgedistill.gate.heads import swapped_heads
from edgedistill.gate.numeric import Compared, agreement, comparable_rows, real_texts, spread
from edgedistill.gate.rungs import finding
from edgedistill.reports import Finding
from edgedistill.runner import is_per_token

# None of these decides a verdict: they choose the name of a fault in an artifact that failed by `Tolerances` already.
_FLOAT_EXPLAINED = 1e-3
"""Relative difference that is left where a hypothesis is right and arithmetic is float ..."""
_INTEGER_EXPLAINED = 0.35
"""... and where it is integer: several times the noise of a good artifact, far below the 1 of an unrelated one."""
_FEWER = 0.5
"""A hypothesis has to take away at least this share of the difference too."""
_UNRELATED = 0.3
"""Correlation below which two models have nothing to do with each other."""
_CONSTANT = 1e-3
"""Share of the student's spread below which answers do not depend on the text."""
_RESCALED = 0.2
"""A factor this close to 1 is noise and no other unit."""
_LAYER_TEXTS = 12


def diagnose(case: Case) -> list[Finding]:
    """Name the fault of an artifact whose outputs are not the student's.

    Returns:
        One finding: the first hypothesis that explains the outputs, or "outputs_differ" where none does.
    """
    both = real_texts(case)
    for hypothesis in (
        _not_finite,
        _head,
        _constant,
        _vocabulary,
        _swapped,
        _rescaled,
        _padding,
        _layer,
        _unrelated,
        _quantized,
    ):
        found = hypothesis(case, both)
        if found:
            return [found]
    gap = parity.difference(both.student, both.artifact)
    hint = "" if case.student else " Where the student's folder is at hand, check tries leaving out its layers."
    return [finding("outputs_differ", f"no known fault explains the relative difference of {gap.relative:.2g}.{hint}")]


def _not_finite(case: Case, both: Compared) -> Finding | None:
    if all(np.isfinite(row).all() for row in both.artifact):
        return None
    return finding("not_finite", "the artifact answers with NaN or infinity: a range that its precision cannot hold.")


def _head(case: Case, both: Compared) -> Finding | None:
    return swapped_heads(case, _explained(case))


def _constant(case: Case, both: Compared) -> Finding | None:
    own, wanted = spread(case, both.artifact), spread(case, both.student)
    if not _has_same_shapes(both) or own > _CONSTANT * wanted:
        return None
    return finding("constant_answers", "the artifact gives every text the same outputs: its input does not reach them.")


def _vocabulary(case: Case, both: Compared) -> Finding | None:
    """Right on stored ids, wrong on text: the tokenizer, even where the goldens were written with the wrong one."""
    rows = comparable_rows(case)
    if not rows:
        return None
    goldens = Compared(case.student_goldens, case.golden_answers, [len(e) for e in case.golden_encodings], [])
    texts = Compared(
        [case.student_reference[n] for n in rows],
        [case.reference_answers[n] for n in rows],
        [len(case.reference_encodings[n]) for n in rows],
        [],
    )
    if not _explains(case, goldens.student, goldens.artifact) or _explains(case, texts.student, texts.artifact):
        return None
    if agreement(case, texts) >= case.tolerances.int8_agreement:
        return None
    return finding(
        "wrong_vocabulary",
        "the artifact is right on the stored ids and wrong on the judged split's text: "
        "its tokenizer is not the student's.",
    )


def _swapped(case: Case, both: Compared) -> Finding | None:
    if case.kind not in ("single", "pair") or not _has_same_shapes(both):
        return None
    student, artifact = np.stack(both.student), np.stack(both.artifact)
    if student.shape[1] < 2:
        return None
    cost = ((student[:, :, None] - artifact[:, None, :]) ** 2).sum(axis=0)
    _, column = linear_sum_assignment(cost)
    if (column == np.arange(len(column))).all() or not _is_better(case, both, list(artifact[:, column])):
        return None
    names = [*case.manifest.labels, *map(str, range(len(case.manifest.labels), len(column)))]
    moved = [n for n in range(len(column)) if column[n] != n]
    shown = ", ".join(f"'{names[n]}' comes out as '{names[int(column[n])]}'" for n in moved[:4])
    return finding("swapped_labels", f"the artifact's logits are the student's in another order: {shown}.")


def _rescaled(case: Case, both: Compared) -> Finding | None:
    """A softmax that the student does not have, a flipped sign, another unit."""
    if not _has_same_shapes(both):
        return None
    student, artifact = (np.stack(rows).astype(np.float64) for rows in (both.student, both.artifact))
    if case.kind in ("single", "pair"):
        exponent = np.exp(student - student.max(axis=1, keepdims=True))
        if _explains(case, list(exponent / exponent.sum(axis=1, keepdims=True)), list(artifact)):
            return finding("softmax_applied", "the artifact gives probabilities where the student gives logits.")
    power = float((student * student).sum())
    factor = float((student * artifact).sum()) / power if power else 0.0
    if abs(factor) < 0.01 or abs(factor - 1) < _RESCALED or not _is_better(case, both, list(artifact / factor)):
        return None
    name = "sign_flipped" if factor < 0 else "outputs_rescaled"
    return finding(name, f"the artifact's outputs are {factor:.3g} times the student's.")


def _padding(case: Case, both: Compared) -> Finding | None:
    """Whether the student answers as the artifact does once its text is padded to the artifact's fixed length."""
    if case.student is None or not case.fixed_lengths:
        return None
    step = max(1, len(case.goldens) // _LAYER_TEXTS)
    texts, artifact = case.golden_encodings[::step], case.golden_answers[::step]
    padded = []
    for text in texts:
        length = next((length for length in case.fixed_lengths if length >= len(text)), len(text))
        outputs = case.student.runner(pad([text], length, case.pad_id))
        real = {n: [v[0, : len(text)] if is_per_token(n, v) else v[0]] for n, v in outputs.items()}
        padded += case.joined(real)
    after = parity.difference(padded, artifact).relative
    before = parity.difference(case.student_goldens[::step], artifact).relative
    if after > min(_explained(case), _FEWER * before):
        return None
    return finding(
        "padding_row",
        f"the student itself changes by {before:.2g} (relative) when its text is padded as the artifact pads it: the "
        f"embedding row of PAD (id {case.pad_id}) is not zero and a neighbour reads it. Zero that row, export again.",
    )


def _layer(case: Case, both: Compared) -> Finding | None:
    """Leave out each layer of the student in turn, and see whether it then answers as the artifact does."""
    if case.student is None:
        return None
    step = max(1, len(case.goldens) // _LAYER_TEXTS)
    texts, artifact = case.golden_encodings[::step], case.golden_answers[::step]

    def distance(layer: int) -> float:
        assert case.student is not None
        shorter = case.joined(case.run(texts, case.student.without_layer(layer), batch_size=1))
        return parity.difference(shorter, artifact).relative

    distances = [distance(layer) for layer in range(case.student.num_layers)]
    best = int(np.argmin(distances)) if distances else 0
    whole = parity.difference(case.student_goldens[::step], artifact).relative
    if not distances or distances[best] > min(_explained(case), _FEWER * whole):
        return None
    return finding(
        "layer_dropped",
        f"the artifact answers as the student does without its layer {best} (of 0 to {len(distances) - 1}): "
        f"relative difference {distances[best]:.2g}, with all layers {whole:.2g}.",
    )


def _unrelated(case: Case, both: Compared) -> Finding | None:
    if not _has_same_shapes(both):
        return None
    found = parity.correlation(both.student, both.artifact)
    if abs(found) > _UNRELATED:
        return None
    return finding(
        "random_weights",
        f"the artifact's outputs have nothing to do with the student's (correlation {found:.2f}): "
        "random weights, or those of another model.",
    )


def _quantized(case: Case, both: Compared) -> Finding | None:
    gap = parity.difference(both.student, both.artifact)
    if not case.scheme.is_integer or gap.relative > 1:
        return None
    return finding(
        "quantization_loss",
        f"the outputs are the student's with a noise of {gap.relative:.2g} (relative): "
        f"{case.scheme.name} is too coarse for this student. Try {_finer(case)}.",
    )


def _finer(case: Case) -> str:
    return "fp16" if case.scheme.name == "int8_weight" else "int8_weight or fp16"


def _explained(case: Case) -> float:
    return _INTEGER_EXPLAINED if case.scheme.is_integer else max(_FLOAT_EXPLAINED, case.tolerances.fp16_relative)


def _explains(case: Case, first: Sequence[Floats], second: Sequence[Floats]) -> bool:
    return parity.difference(first, second).relative <= _explained(case)


def _is_better(case: Case, both: Compared, changed: Sequence[Floats]) -> bool:
    """Whether a change to the artifact's outputs brings them to the student's, and clearly nearer than before."""
    before = parity.difference(both.student, both.artifact).relative
    after = parity.difference(both.student, changed).relative
    return after <= min(_explained(case), _FEWER * before)


def _has_same_shapes(both: Compared) -> bool:
    sizes = {row.size for row in (*both.student, *both.artifact)}
    return len(sizes) == 1 and len(both.student) > 1
