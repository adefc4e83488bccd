"""The artifact answers as the student does in PyTorch: in numbers where it is float, in answers where it is integer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from edgedistill import parity
from edgedistill.data.tasks import SCORES
from edgedistill.evaluate import Floats, decide
from edgedistill.gate.case import Case
from edgedistill.gate.rungs import finding, judged, measure, together
from edgedistill.reports import Finding, Measure, Rung
from edgedistill.runner import is_answer

NAME, TITLE = "student_to_artifact", "The artifact gives the student's outputs"
SPREAD = "student_spread"

_STORED_CHECKED = 16


@dataclass(frozen=True)
class Compared:
    """The student's outputs beside the artifact's, text by text.

    Attributes:
        student: one flat array a text.
        artifact: likewise.
        sizes: tokens of each text.
        texts: the texts themselves, to be named in a message.
    """

    student: Sequence[Floats]
    artifact: Sequence[Floats]
    sizes: Sequence[int]
    texts: Sequence[str]


def numeric_rung(case: Case) -> Rung:
    """Compare on real and on adversarial text, apart; then the stored answers, finiteness and spread."""
    real, odd = real_texts(case), adversarial_texts(case)
    measures = _measures(case, real, "") + (_measures(case, odd, "adversarial_") if odd.texts else [])
    measures.append(measure(SPREAD, spread(case, real.student), case.tolerances.min_spread, ">="))
    measures.append(measure("reproduces_goldens", _reproduced(case), 1.0, ">="))
    findings = [*_not_finite(case, real), *_near_zero(case, real), *_foreign(case), *_labels(case)]
    reason = "" if odd.texts else "no adversarial answers are stored: only their finiteness was checked."
    rung = judged(NAME, TITLE, measures, findings, rows=len(real.texts) + len(odd.texts))
    undecided = [one for one in measures if _is_undecided(one)]
    if undecided and not findings and all(one.is_within or one in undecided for one in measures):
        return rung.model_copy(update={"status": "inconclusive", "reason": _too_few(undecided[0], real, odd)})
    if rung.status == "failed":
        worst = parity.difference(real.student, real.artifact).worst_text
        reason = together([rung.reason, f"largest difference at {_shown(real.texts[worst])}"])
    return rung.model_copy(update={"reason": reason})


def real_texts(case: Case) -> Compared:
    """Goldens that are ordinary text, and the stored split where the student saw whole texts as the artifact does."""
    places = [place for place, is_odd in enumerate(case.is_adversarial) if not is_odd]
    rows = comparable_rows(case)
    return Compared(
        [case.student_goldens[n] for n in places] + [case.student_reference[n] for n in rows],
        [case.golden_answers[n] for n in places] + [case.reference_answers[n] for n in rows],
        [len(case.golden_encodings[n]) for n in places] + [len(case.reference_encodings[n]) for n in rows],
        [case.goldens[n].text for n in places] + [case.reference[n].text for n in rows],
    )


def comparable_rows(case: Case) -> list[int]:
    """Stored rows that artifact and student read in the same length: all, unless one of them cuts earlier."""
    own, trained = case.manifest.tokenizer.max_length, case.manifest.task.max_length
    shorter = min(own, trained)
    return [n for n, encoding in enumerate(case.reference_encodings) if own == trained or len(encoding) < shorter]


def adversarial_texts(case: Case) -> Compared:
    """Stored adversarial goldens; where there are none, the student itself is asked, if it is at hand."""
    places = [place for place, is_odd in enumerate(case.is_adversarial) if is_odd]
    if places or case.student is None:
        return Compared(
            [case.student_goldens[n] for n in places],
            [case.golden_answers[n] for n in places],
            [len(case.golden_encodings[n]) for n in places],
            [case.goldens[n].text for n in places],
        )
    encodings = case.adversarial_encodings
    student = case.joined(case.run(encodings, case.student.runner))
    return Compared(student, case.adversarial_answers, [len(e) for e in encodings], [""] * len(encodings))


def agreement(case: Case, both: Compared) -> float:
    """Share of texts with the same decision; NaN for embeddings, which decide nothing."""
    if case.kind is None:
        return float("nan")
    pairs = zip(both.student, both.artifact, both.sizes, strict=True)
    if any(one.size != two.size for one, two, _ in pairs):
        return 0.0
    one, two = (
        decide(case.kind, [case.shaped(row, size) for row, size in zip(rows, both.sizes, strict=True)])
        for rows in (both.student, both.artifact)
    )
    band = case.tolerances.regression_band * float(np.std(one)) if case.kind in SCORES else 0.0
    return parity.agreement(one, two, band)


def spread(case: Case, outputs: Sequence[Floats]) -> float:
    """Standard deviation over texts of what decides, in the outputs' unit.

    For classes each text's mean logit is taken off first: softmax does not see it. Outputs with a value per token
    are looked at within each text instead.
    """
    rows = [np.asarray(row, dtype=np.float64) for row in outputs]
    if not rows or not all(np.isfinite(row).all() for row in rows):
        return 0.0
    if case.kind in ("single", "pair") or case.kind in SCORES:
        table = np.stack(rows)
        centred = table - table.mean(axis=1, keepdims=True) if table.shape[1] > 1 else table
        return float(np.sqrt(np.mean(np.var(centred, axis=0))))
    return float(np.mean([np.std(row) for row in rows]))


def _measures(case: Case, both: Compared, prefix: str) -> list[Measure]:
    limits, gap = case.tolerances, parity.difference(both.student, both.artifact)
    is_integer, is_fp32 = case.scheme.is_integer, case.scheme.name == "fp32"
    relative = limits.int8_relative if is_integer else limits.fp32_relative if is_fp32 else limits.fp16_relative
    measures = [
        measure(f"{prefix}max_abs", gap.max_abs, limits.fp32_max_abs if is_fp32 else None),
        measure(f"{prefix}relative", gap.relative, None if is_integer and case.kind is None else relative),
        measure(f"{prefix}cosine", gap.cosine, limits.int8_cosine if is_integer and case.kind is None else None, ">="),
        measure(f"{prefix}sqnr_db", gap.sqnr_db),
    ]
    if case.kind is None:
        return measures
    wanted = limits.int8_adversarial_agreement if prefix else limits.int8_agreement
    share = agreement(case, both)
    limit, room = (wanted, _share_interval(share, len(both.texts))) if is_integer else (None, None)
    return [*measures, measure(f"{prefix}agreement", share, limit, ">=", room)]


def _share_interval(share: float, texts: int) -> parity.Interval | None:
    """What other texts of the same kind might have given: Clopper and Pearson's exact 95 % interval."""
    if not np.isfinite(share) or not texts:
        return None
    found = stats.binomtest(round(share * texts), texts).proportion_ci(0.95, method="exact")
    return parity.Interval(share, float(found.low), float(found.high))


def _is_undecided(one: Measure) -> bool:
    """A share below its limit, of so few texts that the limit is not ruled out."""
    return not one.is_within and one.high is not None and one.limit is not None and one.high >= one.limit


def _too_few(one: Measure, real: Compared, odd: Compared) -> str:
    texts = len((odd if one.name.startswith("adversarial_") else real).texts)
    assert one.value is not None
    assert one.limit is not None
    assert one.high is not None
    needed = round(texts * ((one.high - one.value) / max(one.limit - one.value, 1e-3)) ** 2)
    return (
        f"{one.name} is {one.value:.3g}, below {one.limit:.3g}, but of {texts} texts that may be chance (up to "
        f"{one.high:.3g}). About {max(texts + 1, needed):,} rows would tell: export with --task and --data."
    )


def _reproduced(case: Case) -> float:
    """Share of the goldens whose stored artifact outputs come out again, as they would have to on a phone.

    Where none were stored, because the artifact was made on a computer that cannot run it, the student's count.
    """
    names = [name for name in case.goldens[0].student if is_answer(name)]
    is_own = all(golden.artifact is not None for golden in case.goldens)
    stored = [(golden.artifact if is_own else None) or golden.student for golden in case.goldens]
    rooms = {n: case.tolerances.device(case.scheme.name, [row[n] for row in stored], is_own) for n in names}
    good = 0
    for row, now in zip(stored, case.golden_answers, strict=True):
        then = np.concatenate([np.asarray(row[name]) for name in names])
        room = np.concatenate([np.full(len(row[name]), rooms[name]) for name in names])
        good += then.shape == now.shape and bool((np.abs(then - now) <= room).all())
    return good / len(case.goldens)


def _not_finite(case: Case, real: Compared) -> list[Finding]:
    rows = [*real.artifact, *case.golden_answers, *case.adversarial_answers]
    bad = sum(not np.isfinite(row).all() for row in rows)
    if not bad:
        return []
    message = f"{bad} of {len(rows)} texts come out as NaN or infinity: a range that the precision cannot hold."
    return [finding("not_finite", message)]


def _near_zero(case: Case, real: Compared) -> list[Finding]:
    if spread(case, real.student) >= case.tolerances.min_spread:
        return []
    return [
        finding(
            "near_zero_logits",
            "the student answers every text alike, as an untrained head does. Agreement with it means nothing.",
        )
    ]


def _foreign(case: Case) -> list[Finding]:
    """The stored student outputs must be the student's own, where it is at hand to be asked."""
    if case.student is None:
        return []
    places = list(range(len(case.goldens)))[:: max(1, len(case.goldens) // _STORED_CHECKED)]
    now = case.joined(case.run([case.golden_encodings[n] for n in places], case.student.runner, batch_size=1))
    gap = parity.difference([case.student_goldens[n] for n in places], now)
    if gap.relative <= case.tolerances.fp32_relative or gap.max_abs <= case.tolerances.fp32_max_abs:
        return []
    message = f"the student's stored outputs are not what the student answers (relative difference {gap.relative:.2g})."
    return [finding("foreign_goldens", f"{message} Export again.")]


def _labels(case: Case) -> list[Finding]:
    own = case.student.labels if case.student else ()
    names = case.manifest.labels
    if not own or own == names:
        return []
    name = "swapped_labels" if sorted(own) == sorted(names) else "other_labels"
    return [finding(name, f"the student's classes are {', '.join(own)}; the artifact's are {', '.join(names)}.")]


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "...")
