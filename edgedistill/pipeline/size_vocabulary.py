"""What a cut vocabulary would do to an artifact as it is: the same words' vectors, fewer of them, no training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedistill.artifacts import Manifest, ReferenceRow
from edgedistill.data.tasks import find_task
from edgedistill.errors import ConfigError

if TYPE_CHECKING:
    from edgedistill.data.encoding import Encoding

_ANSWERS = ("single", "pair", "regression")
"""Kinds whose judged rows are scored one by one from the text alone."""


@dataclass(frozen=True)
class Cut:
    """A vocabulary that was cut.

    Attributes:
        asked: share of the training rows' tokens whose entries were to be kept.
        entries: how many are left.
        vocabulary_bytes_saved: of vocab.txt.
        coverage: share of the judged rows' tokens, special ones left out, whose entries are kept.
        score: of the artifact when it reads the judged rows with this vocabulary; None without labelled rows.
        score_now: with its own.
    """

    asked: float
    entries: int
    vocabulary_bytes_saved: int
    coverage: float
    score: float | None
    score_now: float | None


def measured_cuts(folder: Path, manifest: Manifest, data: Path, coverages: Sequence[float]) -> Iterator[Cut]:
    """Cut the vocabulary to a task's training rows, and read the judged rows with what is left.

    Args:
        folder: the artifact.
        manifest: its.
        data: folder of its task's rows.
        coverages: shares of the training rows' tokens to keep.

    Raises:
        ConfigError: a model without a task, or a tokenizer that cannot be cut.
        DataError: rows that cannot be read.
    """
    from transformers import AutoTokenizer

    from edgedistill.data.task_data import load_task_data
    from edgedistill.data.vocabulary import VocabularyConfig, chosen, counted, cut, refuse_uncuttable
    from edgedistill.gate.case import read_reference

    if manifest.task.name is None:
        raise ConfigError("the artifact does not know its task, so there are no rows to cut its vocabulary to.")
    whole = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    refuse_uncuttable(whole)
    longest = manifest.tokenizer.max_length
    rows = load_task_data(find_task(manifest.task.name), data, whole, max_length=longest, seed=0, needs_labels=False)
    counts = counted([rows.train], len(whole))
    names = [name for name, _ in sorted(whole.get_vocab().items(), key=lambda entry: entry[1])]
    judge = _Judge(folder, manifest, read_reference(folder), whole)
    for share in coverages:
        kept = chosen(whole, counts, VocabularyConfig(coverage=share))
        gone = set(range(len(names))) - set(kept.tolist())
        coverage, score = judge.read_with(cut(whole, kept), kept.tolist())
        saved = sum(len(names[number].encode()) + 1 for number in gone)
        yield Cut(share, len(kept), saved, coverage, score, judge.now)


class _Judge:
    """The artifact's judged rows, read with this vocabulary or that."""

    def __init__(self, folder: Path, manifest: Manifest, reference: Sequence[ReferenceRow], whole: Any) -> None:
        self.folder, self.manifest = folder, manifest
        self.rows = [row for row in reference if row.label is not None]
        self.whole = whole
        self.special = set(whole.all_special_ids)
        self.own = self._encoded(whole, None)
        self.now = self._score(self.own)

    def read_with(self, tokenizer: Any, kept: list[int]) -> tuple[float, float | None]:
        """Coverage of the judged rows' tokens, and the score with them."""
        there = set(kept)
        tokens = [token for one in self.own for token in one.input_ids if token not in self.special]
        coverage = sum(token in there for token in tokens) / max(len(tokens), 1)
        return coverage, self._score(self._encoded(tokenizer, kept))

    def _encoded(self, tokenizer: Any, kept: list[int] | None) -> list[Encoding]:
        """The rows in a tokenizer's tokens, under the ids that the artifact knows them by."""
        from edgedistill.data.encoding import Encoding, encode

        texts, pairs = [row.text for row in self.rows], [row.text_pair for row in self.rows]
        found = encode(tokenizer.backend_tokenizer, texts, pairs, self.manifest.tokenizer.max_length)
        if kept is None:
            return found
        return [Encoding(tuple(kept[token] for token in one.input_ids), one.token_type_ids) for one in found]

    def _score(self, encodings: Sequence[Encoding]) -> float | None:
        from edgedistill.evaluate import decide, headline, predict, score
        from edgedistill.pipeline.runners import open_runner

        task = self.manifest.task
        if not encodings or task.kind not in _ANSWERS or task.metric is None or self.manifest.driver.kind == "heads":
            return None
        kind = find_task(str(task.name)).kind
        logits = predict(open_runner(self.folder, self.manifest), encodings, batch_size=1)["logits"]
        labels = [row.label for row in self.rows]
        return headline(task.metric, score(task.metric, decide(kind, logits), labels))
