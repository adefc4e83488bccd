"""A model that writes: the artifact writes what the student does, word by word and with the same probabilities."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgedistill.data.encoding import Encoding, pad
from edgedistill.evaluate import Floats, predict
from edgedistill.gate.case import Case
from edgedistill.gate.numeric import NAME
from edgedistill.gate.rungs import finding, judged, measure, not_run
from edgedistill.reports import Finding, Rung
from edgedistill.runner import GREEDY, LOG_PROBABILITIES, TOKENS

TITLE = "The artifact writes the student's words"
_PADDED, _MORE = 8, 8
_Texts = Mapping[str, Floats]


def writing_rung(case: Case) -> Rung:
    """Compare greedy texts word by word with their log-probabilities, then the texts of the search, then padding."""
    names = (GREEDY, LOG_PROBABILITIES, TOKENS)
    if case.all_answers is None or any(name not in golden.student for golden in case.goldens for name in names):
        return not_run(NAME, TITLE, "the goldens do not hold what the student writes. Export again")
    runner = case.all_answers(case.manifest)
    outputs = predict(runner, case.golden_encodings, batch_size=1)
    found: _Texts = {name: np.stack(outputs[name]) for name in names}
    wanted, before = (
        {name: np.array([getattr(golden, who)[name] for golden in case.goldens]) for name in names}
        for who in ("student", "artifact")
    )
    gaps = _gaps(wanted, found)
    same = case.tolerances.written_agreement
    measures = [
        measure("greedy_equal", _equal(wanted, found, GREEDY), same, ">="),
        measure("written_equal", _equal(wanted, found, TOKENS), same, ">="),
        measure("log_probability_max_abs", float(np.nanmax(gaps)), _limit(case)),
        measure("reproduces_goldens", _equal(before, found, TOKENS), same, ">="),
        measure("padded_equal", _padded(case, found), same, ">="),
        measure("different_texts", float(len(np.unique(wanted[TOKENS], axis=0)))),
    ]
    findings = [*_constant(wanted), *_faults(case, measures[0].is_within, gaps)]
    return judged(NAME, TITLE, measures, findings, rows=len(case.goldens))


def _equal(wanted: _Texts, found: _Texts, name: str) -> float:
    return float(np.mean((wanted[name] == found[name]).all(axis=1)))


def _gaps(wanted: _Texts, found: _Texts) -> Floats:
    """(N, T) how far log-probabilities are apart, up to the first word that differs; NaN behind it and the end."""
    is_same = np.cumprod(wanted[GREEDY] == found[GREEDY], axis=1).astype(bool)
    is_same[:, 0] = True  # of another first word the probabilities are compared too
    is_written = wanted[LOG_PROBABILITIES] != 0
    gaps = np.abs(wanted[LOG_PROBABILITIES] - found[LOG_PROBABILITIES])
    return np.where(is_same & is_written, gaps, np.nan)


def _limit(case: Case) -> float | None:
    limits = {"fp32": case.tolerances.fp32_max_abs, "fp16": case.tolerances.fp16_relative}
    return limits.get(case.scheme.name)


def _padded(case: Case, found: _Texts) -> float:
    """Share of some sources whose text stays the same when they are padded; 1 where no room is left to pad."""
    longest = case.manifest.tokenizer.max_length
    texts = [(n, one) for n, one in enumerate(case.golden_encodings) if len(one) + _MORE <= longest][:_PADDED]
    same = [bool((_written(case, one) == found[TOKENS][n]).all()) for n, one in texts]
    return float(np.mean(same)) if same else 1.0


def _written(case: Case, text: Encoding) -> Floats:
    return np.asarray(case.runner(pad([text], len(text) + _MORE, case.pad_id))[TOKENS][0])


def _constant(wanted: _Texts) -> list[Finding]:
    if len(np.unique(wanted[TOKENS], axis=0)) > 1:
        return []
    message = "the student writes the same text for every source. Agreement with it means nothing."
    return [finding("constant_answers", message)]


def _faults(case: Case, is_same: bool, gaps: Floats) -> list[Finding]:
    """The first word is written with an empty cache: where it is right and later ones are not, the cache is wrong."""
    limit = _limit(case) or case.tolerances.fp16_relative
    if is_same and float(np.nanmax(gaps)) <= limit:
        return []
    if float(np.nanmax(gaps[:, 0])) > limit or gaps.shape[1] < 2:
        return [finding("writes_differently", "the artifact gives other words than the student from the first one on.")]
    return [
        finding(
            "cache_misaligned",
            "the first word, which needs no cache, is the student's with its very probability; later ones are not: "
            "keys and values of the words so far are not where the decoder looks for them. Export again.",
        )
    ]
