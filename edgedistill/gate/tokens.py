"""The tokenizer in the folder gives the ids the student was asked with."""

from __future__ import annotations

from edgedistill.data.encoding import Encoding, encode
from edgedistill.data.probes import ADVERSARIAL, PLAIN
from edgedistill.gate.case import Case
from edgedistill.gate.rungs import finding, judged, measure
from edgedistill.reports import Finding, Rung

NAME, TITLE = "tokenizer", "Text becomes the ids the student was asked with"


def tokenizer_rung(case: Case) -> Rung:
    """Encode every golden again, and every bundled text where the student's own tokenizer is at hand."""
    goldens = case.goldens
    texts = [(golden.text, golden.text_pair) for golden in goldens]
    found = case.encode([text for text, _ in texts], [pair for _, pair in texts])
    wanted = list(case.golden_encodings)
    is_odd = list(case.is_adversarial)
    if case.student is not None:
        bundled = [*PLAIN, *ADVERSARIAL.values()]
        texts += [(text, None) for text in bundled]
        found += case.encode(bundled)
        wanted += encode(case.student.tokenizer, bundled, None, case.manifest.tokenizer.max_length)
        is_odd += [False] * len(PLAIN) + [True] * len(ADVERSARIAL)
    wrong = [place for place, pair in enumerate(zip(found, wanted, strict=True)) if pair[0] != pair[1]]
    share = 1 - len(wrong) / len(texts)
    findings = (
        [_case_fault(case, texts[wrong[0]], wanted[wrong[0]])
         or _fault(texts[wrong[0]][0], found[wrong[0]], wanted[wrong[0]], all(is_odd[n] for n in wrong))]
        if wrong else []
    )  # fmt: skip
    return judged(NAME, TITLE, [measure("equal_ids", share, 1.0, ">=")], findings, rows=len(texts))


def _case_fault(case: Case, text: tuple[str, str | None], wanted: Encoding) -> Finding | None:
    lowered = [None if part is None else part.lower() for part in text]
    if case.encode([lowered[0] or ""], [lowered[1]])[0] != wanted:
        return None
    message = "the tokenizer keeps capitals, the student was asked with lower case: do_lower_case was changed."
    return finding("wrong_normalisation", f"{message} Export again.")


def _fault(text: str, found: Encoding, wanted: Encoding, is_only_odd: bool) -> Finding:
    pairs = enumerate(zip(found.input_ids, wanted.input_ids, strict=False))
    place = next((n for n, (one, two) in pairs if one != two), min(len(found), len(wanted)))
    ids = [encoding.input_ids[place] if place < len(encoding) else "nothing" for encoding in (found, wanted)]
    shown = repr(text if len(text) <= 40 else text[:40] + "...")
    where = f"{shown} at token {place}: id {ids[0]}, the student was asked with {ids[1]}."
    if is_only_odd:
        message = "ordinary text is fine, unusual text is not (accents, case, control characters, length): "
        return finding("wrong_normalisation", message + where)
    return finding("wrong_vocabulary", f"the tokenizer is not the student's. {where} Export again.")
