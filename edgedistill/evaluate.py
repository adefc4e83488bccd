"""How right a model's answers are: predictions of any `Runner`, and the metric of every task.

Scores are fractions in 0..1 (-1..1 for correlations) everywhere in edgedistill; "points" always means
100 times a score, so a drop from 0.891 to 0.886 is 0.5 points.
"""

from __future__ import annotations

import importlib.util
import re
import string
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn import metrics
from tokenizers import Tokenizer

from edgedistill.data.encoding import Encoding, clean, pad
from edgedistill.data.entities import entity_scores
from edgedistill.data.tasks import OF_WRITTEN_TEXT, SCORES, Kind, Metric
from edgedistill.errors import MissingExtraError
from edgedistill.runner import Runner, is_per_token

Floats = NDArray[np.floating[Any]]
Labels = Sequence[Any] | NDArray[Any]
"""Right answers, one a row: classes, scores, for spans and written text the list of accepted texts; of a ranking the
places of a question's right candidates."""
Predictions = Sequence[Any] | NDArray[Any]
"""Given answers, one a row: classes, scores, or answer texts; of a ranking a question's candidates in order."""

_MAX_ANSWER_TOKENS = 30
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def predict(
    runner: Runner, encodings: Sequence[Encoding], batch_size: int = 32, pad_id: int | None = None
) -> dict[str, list[NDArray[np.float32]]]:
    """Run a model over texts, shortest first.

    Unless told to pad, only texts of one length share a batch: an answer is then about its text alone, also where
    padding changes what the model says (a row of PAD that is not zero and that a convolution reads).

    Args:
        runner: the model.
        encodings: N tokenised texts.
        batch_size: texts at a time. Where activations are quantized per batch, 1 is what a phone sees.
        pad_id: the tokenizer's padding token, where texts of several lengths are to share a batch.

    Returns:
        For each output, N arrays in the order of `encodings`; outputs with a value per token hold real tokens only.
    """
    found: dict[str, dict[int, NDArray[np.float32]]] = {}
    for rows in batches_of([len(encoding) for encoding in encodings], batch_size, is_mixed=pad_id is not None):
        inputs = pad([encodings[row] for row in rows], pad_id=pad_id or 0)
        for name, values in runner(inputs).items():
            for place, row in enumerate(rows):
                value = values[place, : len(encodings[row])] if is_per_token(name, values) else values[place]
                found.setdefault(name, {})[row] = np.array(value, dtype=np.float32)
    return {name: [values[row] for row in range(len(encodings))] for name, values in found.items()}


def batches_of(lengths: Sequence[Any], batch_size: int, is_mixed: bool = False) -> Iterator[list[int]]:
    """Positions of texts that share a batch, shortest first.

    Args:
        lengths: of each text in tokens; or tuples, where a text is read in several tokenizers' tokens.
        batch_size: texts at a time, at most.
        is_mixed: whether texts of several lengths may share one, which then needs padding.
    """
    order = sorted(range(len(lengths)), key=lambda row: lengths[row])
    groups = [order] if is_mixed else [list(rows) for _, rows in groupby(order, key=lambda row: lengths[row])]
    for group in groups:
        for start in range(0, len(group), batch_size):
            yield group[start : start + batch_size]


def decide(kind: Kind, logits: Sequence[Floats]) -> list[Any]:
    """Turn logits into answers that can be compared: a class, a score, (start, end), or a tuple of tags.

    Args:
        kind: of the task.
        logits: a row's (C,) for sentences, (2 S,) start then end scores for spans, (S, C) for tags.

    A candidate's answer is its score; `rankings` puts those of a question in order.
    """
    if kind in SCORES:
        return [float(np.ravel(row)[0]) for row in logits]
    if kind == "span":
        return [best_span(*halves(row)) for row in logits]
    if kind == "tokens":
        return [tuple(int(tag) for tag in np.argmax(row, axis=-1)) for row in logits]
    return [int(np.argmax(row)) for row in logits]


def rankings(
    scores: Sequence[float], labels: Sequence[Sequence[int]]
) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """What candidates' scores answer, question by question.

    Args:
        scores: N, one a candidate.
        labels: N pairs of the question's number and 1 where the candidate is right, those of a question together.

    Returns:
        For every question its candidates' places (from 0), best first and of equal ones the earlier first; and the
        places of those that are right.
    """
    found, right = [], []
    for _, rows in groupby(range(len(labels)), key=lambda row: labels[row][0]):
        own = list(rows)
        found.append(tuple(sorted(range(len(own)), key=lambda place: -scores[own[place]])))
        right.append(tuple(place for place, row in enumerate(own) if labels[row][1]))
    return found, right


def halves(scores: Floats) -> tuple[Floats, Floats]:
    """Start and end scores out of one (2 S,) row."""
    start, end = np.split(np.ravel(scores), 2)
    return start, end


def best_span(start: Floats, end: Floats, allowed: NDArray[np.bool_] | None = None) -> tuple[int, int]:
    """First and last token of the best answer: highest start + end score, start <= end, at most 30 tokens.

    Args:
        start: (S,) scores of starting there.
        end: (S,) scores of ending there.
        allowed: (S,) tokens that may be in an answer; all when not given.
    """
    size = len(start)
    if size == 0:
        return 0, 0
    scores = np.add.outer(np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64))
    reach = np.arange(size)[None, :] - np.arange(size)[:, None]
    is_valid = (reach >= 0) & (reach < _MAX_ANSWER_TOKENS)
    if allowed is not None and allowed.any():
        is_valid &= np.logical_and.outer(allowed, allowed)
    first, last = np.unravel_index(int(np.argmax(np.where(is_valid, scores, -np.inf))), scores.shape)
    return int(first), int(last)


def answer_texts(
    tokenizer: Tokenizer, questions: Sequence[str], contexts: Sequence[str], logits: Sequence[Floats], max_length: int
) -> list[str]:
    """The answer texts that (2 S,) start and end scores point at, cut out of the contexts.

    A row whose scores do not fit its tokens (another tokenizer made them) answers with the empty text.
    """
    tokenizer.enable_truncation(max_length, strategy="longest_first")
    tokenizer.no_padding()
    texts = [(clean(question), clean(context)) for question, context in zip(questions, contexts, strict=True)]
    answers = []
    for encoded, (_, context), row in zip(tokenizer.encode_batch(texts), texts, logits, strict=True):
        scores = np.ravel(row)
        if len(scores) != 2 * len(encoded.ids):
            answers.append("")
            continue
        allowed = np.array([sequence == 1 for sequence in encoded.sequence_ids])
        first, last = best_span(*halves(scores), allowed)
        answers.append(context[encoded.offsets[first][0] : encoded.offsets[last][1]])
    return answers


def score(metric: Metric, predictions: Predictions, labels: Labels) -> dict[str, float]:
    """Every number of a metric, by name; `headline` says which one the verdict is about.

    Args:
        metric: of the task.
        predictions: N classes, scores, answer texts, candidates in order (`rankings`), or a sentence's entities.
        labels: N right answers.
    """
    if metric == "entity_f1":
        return entity_scores(predictions, labels)
    if metric == "ranking":
        return _ranking_score(list(zip(predictions, labels, strict=True)))
    if metric in OF_WRITTEN_TEXT:
        return _written_scores(list(predictions), list(labels))
    if metric == "squad_f1":
        pairs = list(zip(predictions, labels, strict=True))
        exact = [max((_squad_exact(answer, gold) for gold in golds), default=0.0) for answer, golds in pairs]
        return {"exact_match": _mean(exact), "f1": _mean(_squad_f1s(predictions, labels))}
    given, right = np.asarray(predictions), np.asarray(labels)
    if metric == "pearson_spearman":
        return {"pearson": _correlation(stats.pearsonr, given, right),
                "spearman": _correlation(stats.spearmanr, given, right)}  # fmt: skip
    if metric == "matthews":
        return {"matthews": float(metrics.matthews_corrcoef(right, given)) if len(np.unique(right)) > 1 else 0.0}
    if metric == "macro_f1":
        return {"macro_f1": float(metrics.f1_score(right, given, average="macro", zero_division=0.0))}
    accuracy = {"accuracy": float(np.mean(given == right))} if metric != "f1" else {}
    f1 = {"f1": float(metrics.f1_score(right == 1, given == 1, zero_division=0.0))} if metric != "accuracy" else {}
    return accuracy | f1


def headline(metric: Metric, scores: Mapping[str, float]) -> float:
    """The one number of a metric: F1 for SQuAD and entities, how often the best candidate is right, BLEU or ROUGE-L.

    Of others the mean of their numbers, as in GLUE.
    """
    main = {"squad_f1": "f1", "ranking": "accuracy", "entity_f1": "entity_f1"} | {
        name: name for name in OF_WRITTEN_TEXT
    }
    return scores[main[metric]] if metric in main else _mean(list(scores.values()))


def correct(metric: Metric, predictions: Predictions, labels: Labels) -> NDArray[np.float64] | None:
    """(N,) what each row adds to the headline's mean; None where the metric is no mean over rows."""
    if metric == "accuracy":
        return np.equal(predictions, labels).astype(np.float64)
    if metric == "ranking":
        return np.array([float(order[0] in right) for order, right in zip(predictions, labels, strict=True)])
    return np.array(_squad_f1s(predictions, labels)) if metric == "squad_f1" else None


def recalls(predictions: Predictions, labels: Labels, classes: int) -> Floats:
    """(C,) share of each class's rows that were answered right; NaN for a class without rows."""
    given, right = np.asarray(predictions), np.asarray(labels)
    rows = np.bincount(right, minlength=classes).astype(np.float64)
    hits = np.bincount(right[given == right], minlength=classes).astype(np.float64)
    return np.where(rows > 0, hits / np.maximum(rows, 1), np.nan)


def _ranking_score(pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> dict[str, float]:
    """How often the best candidate is right; one over the place of the first right one; share of rows told rightly.

    The last is what QNLI counts: the best candidate of a question is called right, all others wrong.
    """
    ranks = [min((order.index(place) for place in right), default=len(order)) for order, right in pairs]
    called = sum(len(order) - len({order[0]} ^ set(right)) for order, right in pairs)
    return {
        "accuracy": _mean([float(rank == 0) for rank in ranks]),
        "mrr": _mean([1 / (1 + rank) for rank in ranks]),
        "pair_accuracy": called / max(sum(len(order) for order, _ in pairs), 1),
    }


def refuse_without_scorers() -> None:
    """Make sure that written text can be scored.

    Raises:
        MissingExtraError: sacrebleu or rouge-score is not installed.
    """
    for package in ("sacrebleu", "rouge_score"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError("BLEU and ROUGE", package.replace("_", "-"), "generation")


def _written_scores(texts: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """BLEU of all texts together, and F1 of ROUGE (stemmed, the best reference of each row), mean over rows."""
    refuse_without_scorers()
    import sacrebleu
    from rouge_score.rouge_scorer import RougeScorer

    most = max(map(len, references))
    columns = [[row[number] if number < len(row) else None for row in references] for number in range(most)]
    bleu = sacrebleu.corpus_bleu(list(texts), columns).score / 100
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
    each = [scorer.score_multi(list(right), text) for text, right in zip(texts, references, strict=True)]
    rouge = {name: _mean([row[name].fmeasure for row in each]) for name in ("rouge1", "rouge2", "rougeL")}
    return {"bleu": bleu, "rouge_1": rouge["rouge1"], "rouge_2": rouge["rouge2"], "rouge_l": rouge["rougeL"]}


def _correlation(function: Callable[..., Any], given: Floats, right: Floats) -> float:
    if len(given) < 2 or np.ptp(given) == 0 or np.ptp(right) == 0:
        return 0.0
    return float(function(given, right)[0])


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else 0.0


def _squad_f1s(predictions: Predictions, labels: Labels) -> list[float]:
    pairs = zip(predictions, labels, strict=True)
    return [max((_squad_f1(answer, gold) for gold in golds), default=0.0) for answer, golds in pairs]


@lru_cache(maxsize=100_000)
def _squad_normal(text: str) -> tuple[str, ...]:
    """Lower case, no punctuation, no articles, single spaces: the official script's normalisation, as words."""
    return tuple(re.sub(r"\b(a|an|the)\b", " ", text.lower().translate(_NO_PUNCTUATION)).split())


def _squad_exact(answer: str, gold: str) -> float:
    return float(_squad_normal(answer) == _squad_normal(gold))


def _squad_f1(answer: str, gold: str) -> float:
    given, right = _squad_normal(answer), _squad_normal(gold)
    shared = sum((Counter(given) & Counter(right)).values())
    return 2 * shared / (len(given) + len(right)) if shared else 0.0
