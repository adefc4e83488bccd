"""BERT for text generation (Chen et al., 2020): needs a masked-LM teacher and texts to write; gives an encoder-decoder.

The teacher learns to guess hidden words of a target from its source and the words on both sides of them (C-MLM). Asked
about every target word once, it tells the student, which sees only the words before, what else could have stood there:
a plan of the whole text, not only its next word. The teacher is not needed afterwards, and none of its weights are in
the student. Several teachers learn one by one, and their probabilities are averaged.
Differs from the authors' code: the student writes in the teacher's own vocabulary, so that the teacher keeps its output
layer; batches are counted in rows (docs/papers.md).
Paper: Chen et al., 2020, arXiv:1911.03829.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Literal

from pydantic import Field
from torch import Tensor, nn

from edgedistill.data.batches import Batch
from edgedistill.data.conditional import Blanks, Conditional, target_of
from edgedistill.data.tasks import IGNORED, Kind
from edgedistill.data.top_words import Asking, TopWords, TopWordTable, ask_all
from edgedistill.errors import CheckpointError, ConfigError
from edgedistill.losses.labels import label_loss, smoothed_word_loss
from edgedistill.losses.soft_targets import top_word_targets
from edgedistill.models.answers import answer, longest_input
from edgedistill.models.loading import load
from edgedistill.models.outputs import Want
from edgedistill.models.seq2seq import Decoding, Shape, next_words, set_decoding, shape_of, transformer
from edgedistill.models.starts import refuse_unused_shape
from edgedistill.models.vocabulary import read_by
from edgedistill.recipes import Ingredients, RecipeConfig
from edgedistill.training.judging import dev_score
from edgedistill.training.processes import main_first
from edgedistill.training.stage import OptimConfig, Stage, Step, labelled_tokens
from edgedistill.training.writing import conditional_accuracy, guesses_together

if TYPE_CHECKING:
    from transformers import PreTrainedModel

KINDS: frozenset[Kind] = frozenset({"generation"})
NEEDS_TEACHER = True

Lookup = Callable[[Batch], TopWords]


class Config(RecipeConfig):
    """Settings of BERT for text generation."""

    max_length: int = Field(default=150, ge=8, le=512)
    """Longest source in tokens (longer ones are cut) and longest target (longer ones are not learnt from)."""
    shape: Shape = Shape()
    """Of the student (the paper's Transformer base)."""
    decoding: Decoding = Decoding()
    """How the student writes when it is judged, and afterwards."""
    mask_rate: float = Field(default=0.15, gt=0, lt=1)
    """Chance of each target token to be hidden from the teacher that learns (section 3.1)."""
    alpha: float = Field(default=0.5, ge=0, le=1)
    """Weight of the teacher's words; the right words have 1 - alpha. 0: no teacher is trained or asked."""
    temperature: float = Field(default=10.0, gt=0)
    """Divides the teacher's logits."""
    top_words: int = Field(default=8, gt=0)
    """K, words of the teacher's that are kept for each word of a target."""
    temper_student: bool = False
    """Whether the temperature divides the student's logits too; the authors found it better not to."""
    t2_scaling: bool = False
    """Multiply the soft loss by the temperature's square."""
    rest: Literal["dropped", "one_word"] = "dropped"
    """The teacher's other words: dropped, the K are made to add up to 1; one_word, they count together as one."""
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    """Share of the right word that all others get."""
    teacher_optim: OptimConfig | None = OptimConfig(lr=5e-5, epochs=10.0, batch_size=64, warmup=0.05)
    """How the teacher learns to guess (C-MLM); null: it is asked as it is."""
    optim: OptimConfig = OptimConfig(
        lr=1e-3, epochs=30.0, batch_size=64, warmup=0.08, betas=(0.9, 0.98), weight_decay=0.0
    )
    """How the student optimises."""

    def follows(self, teacher_layers: int, student_layers: int) -> tuple[int, ...]:
        """Raise `ConfigError`: an encoder-decoder follows no layers of its teacher."""
        raise ConfigError("bert2seq: the student follows no layers of its teacher.")


def build_student(cfg: Config, given: Ingredients) -> PreTrainedModel:
    """Build a Transformer over the teacher's vocabulary, or load a student to go on with.

    Raises:
        ConfigError: settings that do not fit, or a student of another vocabulary.
        CheckpointError: a teacher or student that cannot be used, or teachers of different vocabularies.
    """
    teachers, tokenizer = _teachers(given), given.data.tokenizer
    longest = min(map(longest_input, teachers))
    if cfg.alpha and 2 * cfg.max_length > longest:
        raise ConfigError(
            f"max_length is {cfg.max_length}, but the teacher reads source and target as one text and has positions "
            f"for {longest} tokens. Set it lower: --set max_length={longest // 2}."
        )
    if not given.data.train.shares_tokens:
        raise ConfigError(f"--student '{given.start}' splits text into other tokens than the teacher. Leave it out.")
    if tokenizer.mask_token_id is None:
        raise CheckpointError("the teacher's tokenizer has no mask token, so that no word can be hidden from it.")
    if given.start is not None:
        student = load(given.start, kind="generation").model
        refuse_unused_shape(cfg, {"shape": shape_of(student.config)}, given.start)
    else:
        student = transformer(cfg.shape, tokenizer, teachers[0].config.vocab_size)
    never = {tokenizer.pad_token_id, tokenizer.cls_token_id, tokenizer.mask_token_id}
    set_decoding(student, cfg.decoding, cfg.max_length, sorted(never))
    return student


def stages(cfg: Config, given: Ingredients, student: PreTrainedModel) -> Iterator[Stage]:
    """Yield the teacher's fine-tuning (section 3.1), then the student's training (section 3.2)."""
    rows, tokenizer = given.data.train, given.data.tokenizer
    teachers = _teachers(given) if cfg.alpha else []
    if cfg.teacher_optim is not None:
        for number, teacher in enumerate(teachers, start=1):
            name = "teacher" if len(teachers) == 1 else f"teacher-{number}"
            yield _teacher_stage(name, teacher, cfg.teacher_optim, cfg.mask_rate, given)

    table: list[TopWordTable] = []

    def prepare() -> None:
        if not teachers:
            return
        for teacher in teachers:
            teacher.to(student.device)  # those that learnt nothing here are still where they were loaded
        with main_first():  # the others find what it stored
            how = Asking(guesses_together(teachers), Blanks.of(tokenizer), cfg.top_words, cfg.temperature)
            table.append(ask_all(rows, nn.ModuleList(teachers), how))
        for teacher in teachers:
            teacher.cpu()  # it has said all it will be asked

    yield Stage(
        name="student",
        model=student,
        batches=rows,
        step=_step(cfg, student, lambda batch: table[0](batch.row_ids).to(batch.student.input_ids.device)),
        optim=cfg.optim,
        means_over=dict.fromkeys(("soft", "words"), labelled_tokens),
        evaluate=lambda: dev_score(student, given.data),
        prepare=prepare,
    )


def _teachers(given: Ingredients) -> list[PreTrainedModel]:
    """The masked-LMs, each to learn the task: one, or the members of an ensemble."""
    each = [load(source, kind="mlm") for source in given.needed_teacher.facts.sources]
    found = [read_by(teacher, given.data.tokenizer).model for teacher in each]
    sizes = [int(teacher.config.vocab_size) for teacher in found]
    if len(set(sizes)) > 1:  # the same tokenizer, but tables that were filled up otherwise
        raise CheckpointError(
            f"the teachers give probabilities to {', '.join(map(str, sizes))} words, which cannot be averaged. Give "
            "teachers whose tables have as many rows."
        )
    return found


def _teacher_stage(name: str, teacher: PreTrainedModel, optim: OptimConfig, rate: float, given: Ingredients) -> Stage:
    return Stage(
        name=name,
        model=teacher,
        batches=Conditional(given.data.train, Blanks.of(given.data.tokenizer), rate),
        step=_teacher_step(teacher),
        optim=optim,
        means_over={"words": labelled_tokens},
        evaluate=partial(conditional_accuracy, teacher, given.data),
    )


def _teacher_step(teacher: nn.Module) -> Step:
    def step(batch: Batch) -> dict[str, Tensor]:
        words = target_of(batch)
        is_hidden = words.ne(IGNORED)
        logits = answer(teacher, batch.student, Want(words=is_hidden)).logits
        assert logits is not None
        return {"words": label_loss("mlm", logits, words[is_hidden])}

    return step


def _step(cfg: Config, student: PreTrainedModel, look_up: Lookup) -> Step:
    def step(batch: Batch) -> dict[str, Tensor]:
        target = target_of(batch)
        logits = next_words(student, batch.student, target)
        terms = {}
        if cfg.alpha:
            terms["soft"] = cfg.alpha * soft_loss(cfg, logits, look_up(batch))
        if cfg.alpha < 1:
            words, pad = target[target.ne(IGNORED)], int(student.config.pad_token_id)
            terms["words"] = (1 - cfg.alpha) * smoothed_word_loss(logits, words, cfg.label_smoothing, pad)
        return terms

    return step


def soft_loss(cfg: Config, logits: Tensor, teacher: TopWords) -> Tensor:
    """How far the student's words are from the teacher's, as the settings have it.

    Args:
        cfg: says which form.
        logits: (N, V) the student's.
        teacher: about the same N words.

    Returns:
        A scalar, nats per word.
    """
    return top_word_targets(
        logits,
        teacher.words,
        teacher.logits,
        teacher.rest if cfg.rest == "one_word" else None,
        cfg.temperature,
        temper_student=cfg.temper_student,
        t2_scaling=cfg.t2_scaling,
    )
