"""Several tasks answered by one BERT: a shared encoder and a head for each task, saved as one model.

Every head, together with the encoder, is also an ordinary model of one task (`single`): that is what is judged,
exported and checked. Importing this module registers the family with transformers, whose Auto classes then read and
write it.
Reference: Liu et al., 2019 (MT-DNN), arXiv:1901.11504, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    BertPreTrainedModel,
    PreTrainedModel,
)
from transformers.modeling_outputs import SequenceClassifierOutput

from edgedistill.config import Settings, build
from edgedistill.data.tasks import SCORES
from edgedistill.errors import CheckpointError, ConfigError
from edgedistill.models.folder import config_of
from edgedistill.models.san import TURNS, StochasticAnswer

FAMILY = "multitask_bert"
AnswerKind = Literal["single", "pair", "regression", "ranking"]
"""What a head answers."""


class TaskHead(Settings):
    """A head of the model, as its config.json lists it."""

    name: str
    """Of the task."""
    kind: AnswerKind
    """What it answers."""
    labels: tuple[str, ...] = ()
    """Class names in logit order; empty for a number, such as how well a candidate suits its question."""
    answer: Literal["classifier", "san"] = "classifier"
    """classifier: one linear layer on the pooled first token; san: `models/san.py`."""
    turns: int = TURNS
    """Looks of a stochastic answer."""
    dropout: float = 0.0
    """Before the answer, while training."""


class MultiTaskConfig(BertConfig):  # type: ignore[misc]
    """BERT's configuration with the list `tasks`, of which the first is the main one."""

    model_type = FAMILY


class SanBertForSequenceClassification(BertPreTrainedModel):  # type: ignore[misc]
    """BERT under a stochastic answer: one task of a multi-task model, never saved alone."""

    def __init__(self, bert: BertModel, san: StochasticAnswer, config: BertConfig) -> None:
        super().__init__(config)
        self.bert, self.san = bert, san

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor, **more: Any) -> Any:
        """As BERT's sequence classification; logits are logarithms of probabilities."""
        more.pop("return_dict", None)
        found = self.bert(input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids, **more)
        logits = self.san(found.last_hidden_state, attention_mask, token_type_ids)
        return SequenceClassifierOutput(logits=logits, hidden_states=found.hidden_states, attentions=found.attentions)


class MultiTaskBertForSequenceClassification(BertPreTrainedModel):  # type: ignore[misc]
    """A shared encoder and a head for each task."""

    config_class = MultiTaskConfig

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.bert = BertModel(config)
        # A ModuleDict takes no key that is one of its methods' names, such as "items".
        self.heads = nn.ModuleDict({_key(head.name): _module(head, config) for head in heads_of(config)})
        self._singles: dict[str, PreTrainedModel] = {}
        self.post_init()

    @property
    def task_heads(self) -> tuple[TaskHead, ...]:
        """Its heads, the main one first."""
        return heads_of(self.config)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        task: str | None = None,
        **more: Any,
    ) -> Any:
        """Answer one task, the main one unless named, as its model alone would."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        types = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        return self.single(task)(input_ids=input_ids, attention_mask=mask, token_type_ids=types, **more)

    def head(self, task: str | None = None) -> TaskHead:
        """The head of that task; the main one where none is named.

        Raises:
            CheckpointError: there is none of that name.
        """
        found = [head for head in self.task_heads if task in (None, head.name)]
        if not found:
            names = ", ".join(head.name for head in self.task_heads)
            raise CheckpointError(f"this model has no head for the task '{task}'. It answers: {names}.")
        return found[0]

    def single(self, task: str | None = None) -> PreTrainedModel:
        """An ordinary model of one task over the very same weights: what trains it trains this one.

        Raises:
            CheckpointError: there is no head of that name.
        """
        head = self.head(task)
        if head.name not in self._singles:
            self._singles[head.name] = self._made_single(head).train(self.training)
        return self._singles[head.name]

    def opened(
        self, task: str | None, kind: str | None, labels: Sequence[str] | None, model_class: Any
    ) -> tuple[PreTrainedModel, bool]:
        """One task's model as somebody wants to use it, and whether its head is new.

        Args:
            task: whose head; none: the main one's.
            kind: what it shall answer; none: what it answers. Where one is named, a stochastic head or one of other
                classes is no start.
            labels: class names wanted; none: any. A head of another kind or width never fits: a new one is put on the
                encoder.
            model_class: transformers' Auto class of `kind`.

        Raises:
            CheckpointError: there is no head of that name.
        """
        head = self.head(task)
        if kind == "embedding":
            return self.bert, False
        wanted, names = kind or head.kind, [] if head.kind in SCORES else [name.lower() for name in labels or ()]
        is_text = wanted in get_args(AnswerKind) and (wanted in SCORES) == (head.kind in SCORES)
        is_width = not names or len(names) == len(head.labels)
        is_start = head.answer == "classifier" and (not names or names == [name.lower() for name in head.labels])
        if is_text and is_width and (kind is None or is_start):
            return self.single(head.name), False
        new = model_class.from_config(_single_config(self.config, labels or (), wanted), attn_implementation="eager")
        setattr(new, new.base_model_prefix, self.bert)
        return new.train(self.training), True

    def _made_single(self, head: TaskHead) -> PreTrainedModel:
        config = _single_config(self.config, head.labels, head.kind)
        module = self.heads[_key(head.name)]
        if head.answer == "san":
            return SanBertForSequenceClassification(self.bert, cast("StochasticAnswer", module), config)
        with torch.device("meta"):  # a frame to put the weights into: nothing is allocated, no random number drawn
            model = BertForSequenceClassification._from_config(config, attn_implementation="eager")
        model.bert, model.dropout, model.classifier = self.bert, module.dropout, module.classifier
        found: PreTrainedModel = model
        return found


class _Classifier(nn.Module):
    """What stands on the pooled first token."""

    def __init__(self, hidden_size: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.dropout, self.classifier = nn.Dropout(dropout), nn.Linear(hidden_size, num_classes)


def multitask_bert(encoder: PreTrainedModel, heads: Sequence[TaskHead]) -> MultiTaskBertForSequenceClassification:
    """A model of several tasks around an encoder, with new heads (seed torch first).

    Args:
        encoder: a bare BERT; its modules are taken, not copied.
        heads: one a task, the main one first.

    Raises:
        ConfigError: an encoder of another family, without a pooler, or without the segments a stochastic answer needs.
    """
    config = encoder.config
    if config.model_type not in {"bert", FAMILY} or encoder.pooler is None:
        raise ConfigError(
            f"several tasks share a BERT encoder (MiniLM and other BERT variants too), not one of the family "
            f"'{config.model_type}'. Give another --student."
        )
    if config.type_vocab_size < 2 and any(head.answer == "san" for head in heads):
        raise ConfigError("pair_head=san needs an encoder that knows two segments. Set it to classifier.")
    values = {name: value for name, value in config.to_dict().items() if name not in _OF_ONE_TASK}
    listed = [head.model_dump(mode="json") for head in heads]
    whole = MultiTaskBertForSequenceClassification._from_config(
        MultiTaskConfig(**values, tasks=listed), attn_implementation="eager"
    )
    whole.bert = encoder
    made: MultiTaskBertForSequenceClassification = whole
    return made


def heads_of(config: Any) -> tuple[TaskHead, ...]:
    """The heads that a configuration lists.

    Raises:
        ConfigError: they make no sense.
    """
    return tuple(build(TaskHead, values, "config.json, tasks") for values in config.tasks)


def task_names(folder: Path) -> tuple[str, ...]:
    """The tasks a checkpoint's folder has heads for, the main one first; none where it is an ordinary model."""
    config = config_of(folder)
    return tuple(head.name for head in heads_of(config)) if config.model_type == FAMILY else ()


def one_task(model: nn.Module, task: str | None) -> nn.Module:
    """The model as it answers one task: itself, where it knows no other."""
    return model.single(task) if isinstance(model, MultiTaskBertForSequenceClassification) else model


_OF_ONE_TASK = ("id2label", "label2id", "problem_type", "architectures", "model_type", "transformers_version", "tasks")


def _single_config(config: Any, labels: Sequence[str], kind: str) -> BertConfig:
    values = {name: value for name, value in config.to_dict().items() if name not in _OF_ONE_TASK}
    names = list(labels) or ["score"]
    found = BertConfig(
        **values, id2label=dict(enumerate(names)), label2id={name: number for number, name in enumerate(names)}
    )
    found.problem_type = "regression" if kind in SCORES else "single_label_classification"
    return found


def _module(head: TaskHead, config: Any) -> nn.Module:
    classes = max(len(head.labels), 1)
    if head.answer == "san":
        return StochasticAnswer(config.hidden_size, classes, head.dropout, head.turns)
    return _Classifier(config.hidden_size, classes, head.dropout)


def _key(task: str) -> str:
    return f"{task}_head"


AutoConfig.register(FAMILY, MultiTaskConfig, exist_ok=True)
AutoModelForSequenceClassification.register(MultiTaskConfig, MultiTaskBertForSequenceClassification, exist_ok=True)
