"""Teachers behind one interface: online, cached or an ensemble. Recipes never call a teacher's module."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol

import torch
from torch import Tensor

from edgedistill.data.batches import Batch
from edgedistill.data.tasks import SCORES, Kind
from edgedistill.errors import CheckpointError, TrainingError
from edgedistill.models.answers import answer
from edgedistill.models.outputs import Outputs, Want

if TYPE_CHECKING:
    from edgedistill.data.logit_cache import LogitCache
    from edgedistill.models.loading import Checkpoint

Average = Literal["probabilities", "logits"]

_LOGITS_ONLY = Want()
_PER_TOKEN = frozenset({"tokens", "span", "mlm"})


@dataclass(frozen=True)
class TeacherFacts:
    """What a recipe may ask of a teacher before it builds a student.

    Attributes:
        source: the Hub id or folder it came from.
        sha256: of its weights.
        family: transformers' model type, such as "bert".
        num_layers, hidden_size, num_heads, vocab_size: its shape.
        parameters: how many, exactly.
        labels: class names in logit order; empty for a bare encoder.
        licence: as its card states it, or "unknown".
        shows_layers: whether it can be asked for hidden states and attentions.
        shows_cls: whether it can be asked for [CLS] states.
        members: where an ensemble's came from; empty for a single teacher.
    """

    source: str
    sha256: str
    family: str
    num_layers: int
    hidden_size: int
    num_heads: int
    vocab_size: int
    parameters: int
    labels: tuple[str, ...]
    licence: str = "unknown"
    shows_layers: bool = True
    shows_cls: bool = True
    members: tuple[str, ...] = ()

    @property
    def sources(self) -> tuple[str, ...]:
        """Hub id or folder of every model behind it."""
        return self.members or (self.source,)


class TeacherProvider(Protocol):
    """Answers a batch, by running a frozen model on it or by looking its row ids up."""

    @property
    def facts(self) -> TeacherFacts:
        """What it is."""
        ...

    def __call__(self, batch: Batch, want: Want = ...) -> Outputs:
        """The teacher's outputs for `batch.row_ids` in that order, without gradients.

        Raises:
            TrainingError: it cannot give what is wanted (a cache of logits asked for hidden states, or
                token-level outputs wanted where teacher and student do not share tokens).
        """
        ...


class OnlineTeacher:
    """A frozen model that is run on every batch. It is in evaluation mode at every call, whatever was done to it."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._model = checkpoint.model.requires_grad_(False)
        self._answers_per_token = checkpoint.kind in _PER_TOKEN
        self._facts = facts_of(checkpoint)

    @property
    def facts(self) -> TeacherFacts:
        """What it is."""
        return self._facts

    def __call__(self, batch: Batch, want: Want = _LOGITS_ONLY) -> Outputs:
        """Run the model on the batch's teacher tokens."""
        if not batch.shares_tokens and (want.is_per_token or self._answers_per_token):
            raise TrainingError(
                "the teacher and the student split text into different tokens, which cannot be compared one by one. "
                "Use losses on the answer to the whole text only, or a student with the teacher's tokenizer."
            )
        self._model.eval()
        device = batch.teacher.input_ids.device
        if self._model.device != device:
            self._model.to(device)
        with torch.no_grad():
            return answer(self._model, batch.teacher, want)


class CachedTeacher:
    """A teacher whose answers were stored once, looked up by row id; the order of the rows does not matter."""

    def __init__(self, teacher: TeacherProvider, cache: LogitCache) -> None:
        self._teacher, self._cache = teacher, cache

    @property
    def facts(self) -> TeacherFacts:
        """What the stored teacher is."""
        shows_cls = self._teacher.facts.shows_cls and bool(self._cache.kept.cls)
        return replace(self._teacher.facts, shows_layers=False, shows_cls=shows_cls)

    @property
    def asked(self) -> TeacherProvider:
        """Who answers what is not stored yet."""
        return self._teacher

    @property
    def cache(self) -> LogitCache:
        """What it looks up in."""
        return self._cache

    def ask(self, batch: Batch) -> Outputs:
        """What the teacher itself says, with all that is kept."""
        return self._teacher(batch, Want(cls=self._cache.kept.cls))

    def fill(
        self,
        batches: Iterable[Batch],
        process: int = 0,
        processes: int = 1,
        wait: Callable[[], object] = lambda: None,
    ) -> None:
        """Ask the teacher about the rows that are not stored yet; see `LogitCache.fill`.

        Raises:
            StorageError: the disk is full; what was stored before stays.
            TrainingError: what shall be kept cannot be, as float16 say.
        """
        self._cache.fill(batches, self.ask, process, processes, wait)

    def __call__(self, batch: Batch, want: Want = _LOGITS_ONLY) -> Outputs:
        """Look the batch's rows up.

        Raises:
            TrainingError: hidden states, attentions or a layer that is not kept are wanted, or a row was never stored.
        """
        if want.is_per_token:
            raise TrainingError(
                f"the teacher's cache holds {self._cache.kept} only, no hidden states or attentions. Run the teacher "
                "online, or set the weights of the losses that need them to 0."
            )
        device = batch.student.input_ids.device
        return Outputs(
            logits=self._cache.logits(batch.row_ids, batch.student.input_ids.shape[1]).to(device),
            cls=self._cache.cls(batch.row_ids, want.cls).to(device) if want.cls else None,
        )


class EnsembleTeacher:
    """Several teachers that answer as one, by the average of their probabilities or of their logits."""

    def __init__(self, members: Sequence[TeacherProvider], average: Average = "probabilities") -> None:
        """Join teachers of the same task.

        Args:
            members: the teachers; a recipe that starts from the teacher's weights takes the first one's.
            average: probabilities suit classes (the average is a distribution every member could have answered);
                logits suit scores. `average_for` knows.

        Raises:
            CheckpointError: no members, or members that do not have the same labels in the same order.
        """
        if not members:
            raise CheckpointError("an ensemble needs at least one teacher.")
        for member in members[1:]:
            if member.facts.labels != members[0].facts.labels:
                raise CheckpointError(
                    f"'{member.facts.source}' has the labels {', '.join(member.facts.labels)}, but "
                    f"'{members[0].facts.source}' has {', '.join(members[0].facts.labels)}. "
                    "Teachers of one ensemble need the same labels in the same order."
                )
        self._members, self._average = tuple(members), average

    @property
    def facts(self) -> TeacherFacts:
        """The first member's, with the parameters of all and every member in the source's hash."""
        each = [member.facts for member in self._members]
        return replace(
            each[0],
            sha256="+".join(facts.sha256 for facts in each),
            parameters=sum(facts.parameters for facts in each),
            shows_layers=False,
            shows_cls=False,
            members=tuple(source for facts in each for source in facts.sources),
        )

    def __call__(self, batch: Batch, want: Want = _LOGITS_ONLY) -> Outputs:
        """Ask every member.

        Raises:
            TrainingError: hidden states or attentions are wanted; members' layers have no common meaning.
        """
        if want.is_per_token or want.cls:
            raise TrainingError(
                "an ensemble answers with logits only: its members' hidden states cannot be averaged. Give a single "
                "teacher, or set the weights of the losses that need them to 0."
            )
        answers = [member(batch, want).logits for member in self._members]
        stacked = torch.stack([logits for logits in answers if logits is not None])
        return Outputs(logits=averaged(stacked, self._average))


def average_for(kind: Kind, classes: Average = "probabilities") -> Average:
    """How answers of a kind are averaged: classes as is asked for; scores, and a span's places, by logits."""
    return "logits" if kind in SCORES or kind == "span" else classes


def averaged(logits: Tensor, average: Average) -> Tensor:
    """What several models answer together.

    Args:
        logits: (K, B, C) or (K, B, S, C), of K models.
        average: "probabilities" of the C classes, or "logits".

    Returns:
        (B, C) or (B, S, C): natural logarithms of the mean probabilities, or mean logits.
    """
    if average == "logits":
        return logits.mean(dim=0)
    return torch.logsumexp(logits.log_softmax(dim=-1), dim=0) - math.log(len(logits))


def facts_of(checkpoint: Checkpoint) -> TeacherFacts:
    """What a checkpoint is, as a recipe may ask."""
    config = checkpoint.model.config
    return TeacherFacts(
        source=checkpoint.path,
        sha256=checkpoint.source.sha256,
        family=config.model_type,
        num_layers=config.num_hidden_layers,
        hidden_size=config.hidden_size,
        num_heads=config.num_attention_heads,
        vocab_size=config.vocab_size,
        parameters=checkpoint.source.parameters,
        labels=checkpoint.labels,
        licence=checkpoint.licence,
    )
