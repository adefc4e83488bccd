"""BiLSTM (Tang et al., 2019): needs a task teacher, no labels; gives a BiLSTM, a million weights beside its words.

Word vectors, a BiLSTM, one layer: a student of a million parameters beside its table of words. It learns the
teacher's raw logits, on the task's texts and on new ones made of them: words masked, words replaced by others of the
same part of speech, a few words in a row. One stage; no labels are needed.
Differs from the authors' code: new texts are made anew in every epoch instead of once, the optimiser is AdamW, the
vocabulary never sees the judged rows, and an answer never depends on padding (docs/papers.md).
Paper: Tang et al., 2019, arXiv:1903.12136.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from edgedistill.data.batches import Batch
from edgedistill.data.rewrite import Rates, Transfer
from edgedistill.data.tasks import Kind
from edgedistill.data.treebank import read_tags
from edgedistill.data.vectors import read_vectors, with_specials, word_tokenizer
from edgedistill.errors import ConfigError
from edgedistill.losses.labels import label_loss
from edgedistill.losses.soft_targets import logit_mse, soft_targets
from edgedistill.models.answers import answer
from edgedistill.models.bilstm import BiLstmConfig, Channels, bilstm_for, narrowed, with_task
from edgedistill.models.loading import load
from edgedistill.models.starts import refuse_unused_shape
from edgedistill.progress import say
from edgedistill.recipes import CutsVocabulary, Ingredients
from edgedistill.training.judging import dev_score
from edgedistill.training.stage import OptimConfig, Stage
from edgedistill.training.teachers import CachedTeacher

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from edgedistill.data.task_data import TaskData

KINDS: frozenset[Kind] = frozenset({"single", "pair", "regression"})
NEEDS_TEACHER = True
_WIDTH = 300
_SHAPE = ("embedding_size", "channels", "lstm_size", "fc_size")


class Config(CutsVocabulary):
    """Settings of the BiLSTM."""

    words: Literal["teacher", "random"] = "teacher"
    """What the word vectors start from, where no `vectors` are given: the teacher's table, or random numbers. The
    tokens are the teacher's in both."""
    vectors: Path | None = None
    """File of word vectors, as in the paper: GloVe's or word2vec's text, or word2vec's binary (.bin). The student
    then reads whole words, whatever its teacher reads."""
    max_words: int = Field(default=50_000, gt=0)
    """Words to take from `vectors`, from its first on."""
    embedding_size: int | None = Field(default=None, gt=0)
    """Width of the word vectors; none: that of `vectors`, else the paper's 300 or the teacher's width where that is
    less. A wider table of the teacher is cut to its principal directions."""
    channels: Channels = "both"
    """Word vectors that learn (tuned), that stay (static), or both side by side, as in the paper (twice the table)."""
    lstm_size: int = Field(default=150, gt=0)
    """Width of each direction (the paper's 150 or 300)."""
    fc_size: int = Field(default=200, gt=0)
    """Width of the layer before the classes (the paper's 200 or 400)."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Before the classes (the authors' 0.1; theirs has none for pairs)."""
    copies: int = Field(default=2, ge=0)
    """New texts of each row in each epoch: 2 in 10 epochs are the paper's 20 a row. 0: the rows alone, which the
    teacher can answer once for all (--teacher-cache)."""
    mask: float = Field(default=0.1, ge=0, le=1)
    """Share of a new text's words that are masked (section 4.4)."""
    pos: float = Field(default=0.1, ge=0, le=1)
    """Share replaced by another word of the same part of speech; needs `conllu`."""
    ngram: float = Field(default=0.25, ge=0, le=1)
    """Share of new texts of which only 1 to 5 words in a row are kept."""
    conllu: Path | None = None
    """CoNLL-U file with parts of speech: a treebank, whose most frequent tag of each word is taken, or the training
    texts as your own tagger has tagged them, whose tags count where they stand; none: no word is replaced."""
    alpha: float = Field(default=0.0, ge=0, le=1)
    """Weight of the right answer; the teacher's has the rest (section 3.2). A text without a label takes what the
    teacher decides."""
    logit_loss: Literal["mse", "kl"] = "mse"
    """How answers are compared: squared logits as in the paper, or nats as in the authors' code for pairs."""
    temperature: float = Field(default=3.0, gt=0)
    """Of the KL (the authors' 3)."""
    t2_scaling: bool = True
    """Whether the KL is multiplied by temperature squared (not so in the authors' code)."""
    optim: OptimConfig = OptimConfig(lr=1e-3, epochs=10.0, batch_size=50, weight_decay=0.0, mixed_precision="no")
    """How to optimise; the paper: optimizer adadelta, lr 1, betas [0.95, 0.999], eps 1e-6."""

    @property
    def needs_labels(self) -> bool:
        """Whether training rows must have labels: one without takes what the teacher decides."""
        return False

    @model_validator(mode="after")
    def _a_word_is_changed_once(self) -> Config:
        if self.mask + self.pos > 1:
            raise ValueError(f"mask and pos are shares of the same words: {self.mask} and {self.pos} are more than all")
        return self

    @model_validator(mode="after")
    def _words_come_from_one_place(self) -> Config:
        if self.vectors is not None and self.vocabulary is not None:
            raise ValueError("vectors bring their own words. Leave vocabulary out, or cut them with max_words")
        return self


def build_tokenizer(cfg: Config) -> PreTrainedTokenizerFast | None:
    """The word-level tokenizer of `vectors`; none where the student reads its teacher's tokens.

    Raises:
        DataError: a file of vectors that cannot be read.
    """
    return None if cfg.vectors is None else word_tokenizer(read_vectors(cfg.vectors, cfg.max_words))


def build_student(cfg: Config, given: Ingredients) -> nn.Module:
    """Build a BiLSTM over word vectors, or load one to go on with.

    Raises:
        ConfigError: settings that do not go together, or with this teacher or task.
        DataError: a file of vectors or of parts of speech that cannot be read.
        CheckpointError: a teacher or student that cannot be read.
    """
    _refuse_new_texts_from_a_cache(cfg, given)
    if cfg.copies and cfg.conllu is not None:
        read_tags(cfg.conllu)  # whatever is wrong with it is said now
    data, is_siamese = given.data, len(given.data.task.text) > 1
    if given.start is not None:
        student: nn.Module = load(given.start, kind=data.task.kind, labels=data.labels).model
        _refuse_other_network(student, is_siamese, given)
        refuse_unused_shape(cfg, {name: getattr(student.config, name) for name in _SHAPE}, given.start)
        _freeze_static(student)
        return student
    if is_siamese:
        _refuse_unmarked_pairs(given)
    table = _table(cfg, given)
    size = (len(data.tokenizer), cfg.embedding_size or _WIDTH) if table is None else table.shape
    shape = BiLstmConfig(
        vocab_size=size[0],
        embedding_size=size[1],
        channels=cfg.channels,
        lstm_size=cfg.lstm_size,
        fc_size=cfg.fc_size,
        is_siamese=is_siamese,
        dropout=cfg.dropout,
        pad_token_id=data.tokenizer.pad_token_id or 0,
    )
    built: nn.Module = bilstm_for(with_task(shape, data.task.kind, data.labels), table)
    return built


def stages(cfg: Config, given: Ingredients, student: nn.Module) -> Iterator[Stage]:
    """Yield the one stage: the teacher's logits on rows and new texts (sections 3.2 and 4.4)."""
    teacher, data = given.needed_teacher, given.data
    if cfg.copies and cfg.pos and cfg.conllu is None:
        say("no words are replaced by part of speech: that needs a CoNLL-U file, --set conllu=FILE")

    if cfg.vectors is not None:
        say(f"{_known_words(data):.1%} of the training texts' words are in '{cfg.vectors}'")

    def step(batch: Batch) -> dict[str, Tensor]:
        t, s = teacher(batch).logits, answer(student, batch.student).logits
        assert t is not None
        assert s is not None
        terms = {}
        if cfg.alpha < 1:
            terms["logits"] = (1 - cfg.alpha) * _logit_term(cfg, data.task.kind, s, t)
        if cfg.alpha:
            labels = _decided(data.task.kind, t) if batch.labels is None else batch.labels
            terms["labels"] = cfg.alpha * label_loss(data.task.kind, s, labels)
        return terms

    yield Stage(
        name="distill",
        model=student,
        batches=_transfer_set(cfg, given),
        step=step,
        optim=cfg.optim,
        evaluate=lambda: dev_score(student, data),
    )


def _transfer_set(cfg: Config, given: Ingredients) -> Transfer:
    """The rows and, between them, new texts, in both tokenizers' tokens."""
    own = given.data.tokenizer
    theirs = own if given.data.train.shares_tokens else load(given.needed_teacher.facts.source).tokenizer
    rates = Rates(cfg.mask, cfg.pos, cfg.ngram)
    tags = None if cfg.conllu is None or not cfg.copies else read_tags(cfg.conllu)
    return Transfer(given.data.train, cfg.copies, rates, tags, (own, theirs), given.data.max_length, cfg.seed)


def _logit_term(cfg: Config, kind: Kind, s: Tensor, t: Tensor) -> Tensor:
    if cfg.logit_loss == "mse" or kind == "regression":
        return logit_mse(s, t)
    return soft_targets(s, t, cfg.temperature, t2_scaling=cfg.t2_scaling)


def _decided(kind: Kind, teacher_logits: Tensor) -> Tensor:
    """The teacher's answer as a label: (B,) classes or scores."""
    return teacher_logits.squeeze(-1) if kind == "regression" else teacher_logits.argmax(dim=-1)


def _table(cfg: Config, given: Ingredients) -> Tensor | None:
    """The word vectors to start from, (V, E); none for random ones."""
    if cfg.vectors is not None:
        table = torch.from_numpy(with_specials(read_vectors(cfg.vectors, cfg.max_words)))
        if cfg.embedding_size not in (None, table.shape[1]):
            raise ConfigError(
                f"embedding_size is {cfg.embedding_size}; the vectors of '{cfg.vectors}' have {table.shape[1]} "
                "numbers. Leave embedding_size out."
            )
        return table
    if cfg.words == "random":
        return None
    source = given.needed_teacher.facts.source
    table = given.load_teacher().get_input_embeddings().weight.detach()
    size = cfg.embedding_size or min(_WIDTH, table.shape[1])
    if size > table.shape[1] or len(table) < len(given.data.tokenizer):
        raise ConfigError(
            f"embedding_size: '{source}' has vectors of {table.shape[1]} numbers for {len(table)} tokens; "
            f"{size} for {len(given.data.tokenizer)} cannot be cut from that. Set it lower, or words=random."
        )
    return narrowed(table, size)


def _known_words(data: TaskData) -> float:
    """Share of the training texts' words that the student's tokenizer knows."""
    tokens = [batch.student for batch in data.train.all(1024)]
    unknown = sum(int(found.input_ids.eq(data.tokenizer.unk_token_id).sum()) for found in tokens)
    specials = torch.tensor([n for n in data.tokenizer.all_special_ids if n != data.tokenizer.unk_token_id])
    words = sum(int((~torch.isin(found.input_ids, specials)).sum()) for found in tokens)
    return 1 - unknown / max(words, 1)


def _freeze_static(student: PreTrainedModel) -> None:
    if student.base_model.embeddings.static is not None:
        student.base_model.embeddings.static.requires_grad_(False)


def _refuse_new_texts_from_a_cache(cfg: Config, given: Ingredients) -> None:
    if cfg.copies and isinstance(given.needed_teacher, CachedTeacher):
        raise ConfigError(
            f"copies is {cfg.copies}: the teacher has to be asked about new texts in every epoch, and a cache holds "
            "answers to the task's rows only. Leave --teacher-cache out, or train on the rows alone: --set copies=0."
        )


def _refuse_other_network(student: PreTrainedModel, is_siamese: bool, given: Ingredients) -> None:
    config = student.config
    if config.model_type != "bilstm" or config.is_siamese != is_siamese:
        found = (
            "bilstm for " + ("pairs" if config.is_siamese else "single texts") if config.model_type == "bilstm" else ""
        )
        raise ConfigError(
            f"--student '{given.start}' is a {found or config.model_type}. This recipe goes on with a bilstm for "
            f"{'pairs' if is_siamese else 'single texts'}; leave --student out to build one."
        )


def _refuse_unmarked_pairs(given: Ingredients) -> None:
    """A siamese network reads a pair's texts apart, and knows them by their types."""
    types = given.data.tokenizer("a", "b", return_token_type_ids=True)["token_type_ids"]
    if 1 not in types:
        raise ConfigError(
            "the teacher's tokenizer does not mark the second text of a pair (token_type_ids are all 0), which this "
            "recipe reads apart. Give word vectors, which bring their own tokenizer: --set vectors=FILE."
        )
