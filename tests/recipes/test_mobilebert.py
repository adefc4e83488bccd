from dataclasses import replace

import pytest
import torch

from edgedistill.data.masking import Masked, vocabulary_of
from edgedistill.errors import ConfigError
from edgedistill.models.loading import load
from edgedistill.recipes import Ingredients, mobilebert
from edgedistill.recipes.mobilebert import Weights
from edgedistill.training.teachers import OnlineTeacher
from tests.recipes.kitchen import TASKS, cook, ingredients, ingredients_of, of_other_tokens, smoke_config, write_kind
from tests.support import save_checkpoint, tiny_model

NAME = "mobilebert"
TERMS = {
    "transfer": ("feature", "mean", "variance", "attention"),
    "distill": ("feature", "mean", "variance", "attention", "logits"),
    "polish": ("feature", "logits"),
}


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    return ingredients(tmp_path_factory.mktemp("kitchen"))


def settings(**values):
    return smoke_config(NAME, values, max_steps=2)


def states(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


STRATEGIES = {
    "joint": TERMS,
    "progressive": {"transfer": TERMS["transfer"]},
    "auxiliary": {"distill": TERMS["distill"]},
}


@pytest.mark.parametrize(
    ("strategy", "stage", "term"),
    [(name, stage, term) for name, stages in STRATEGIES.items() for stage, terms in stages.items() for term in terms]
    + [("joint", "polish", "labels")],
)
@pytest.mark.slow
def test_zeroing_any_term_changes_what_is_learnt(given, tmp_path, strategy, stage, term):
    usual = {"strategy": strategy, "polish": {"labels": 0.5}}
    fewer = usual | {stage: usual.get(stage, {}) | {term: 0.0}}
    one, before = cook(NAME, settings(**usual), given, tmp_path / "usual")
    two, after = cook(NAME, settings(**fewer), given, tmp_path / "without")
    pairs = [pair for pair in zip(before, after, strict=True) if pair[0]["stage"].startswith(stage)]
    assert all(a["terms"].keys() - b["terms"].keys() == {term} for a, b in pairs)
    moved = max(float((states(one)[name] - value).abs().max()) for name, value in states(two).items())
    assert moved > 1e-5, "the term is in the sum, but no weight follows it"


def test_terms_are_mse_and_kl_of_the_right_layers(given, tmp_path):
    # A student that is its own teacher: every transfer term is 0, whatever the weights.
    student = tiny_model("mobilebert")
    teacher = ingredients(tmp_path / "own", family="mobilebert")
    step = mobilebert._step(settings(), Weights(logits=1.0), "single", teacher.teacher, student, (1, 2, 3, 4))
    batch = next(iter(given.data.train.all(8)))
    assert all(abs(term.item()) < 1e-6 for term in step(batch).values())
    other = mobilebert._step(settings(), Weights(), "single", teacher.teacher, student, (2, 2, 3, 4))
    assert other(batch)["feature"].item() > 1e-3


def test_labels_can_join_and_are_not_needed_otherwise(given, tmp_path):
    unlabelled = replace(given, data=replace(given.data, train=Unlabelled(given.data.train)))
    cook(NAME, settings(), unlabelled, tmp_path / "without")
    with_labels = settings(polish={"labels": 0.5})
    _, lines = cook(NAME, with_labels, given, tmp_path / "with")
    assert "labels" in lines[-1]["terms"]
    with pytest.raises(ConfigError, match="no labels"):
        cook(NAME, with_labels, unlabelled, tmp_path / "refused")


class Unlabelled:
    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def epoch(self, *arguments):
        for batch in self.rows.epoch(*arguments):
            yield replace(batch, labels=None)


@pytest.mark.parametrize("lower_pace", [0.0, 0.1])
def test_progressive_transfer_opens_one_layer_at_a_time(given, tmp_path, lower_pace):
    seen = {}

    def watch(stage, model):
        seen.setdefault(stage, states(model))

    cfg = settings(strategy="progressive", lower_pace=lower_pace)
    student, lines = cook(NAME, cfg, given, tmp_path, on_step=watch)
    phases = [f"transfer-{layer:02d}" for layer in range(1, 5)]
    assert list(dict.fromkeys(line["stage"] for line in lines)) == [*phases, "distill", "polish"]
    assert all(parameter.requires_grad for parameter in student.parameters())
    ends = [seen[phase] for phase in phases[1:]] + [seen["distill"]]
    for layer, (begin, end) in enumerate(zip([seen[phase] for phase in phases], ends, strict=True)):
        changed = {name for name in begin if not torch.equal(begin[name], end[name])}
        own = {name for name in changed if f"encoder.layer.{layer}." in name}
        assert own
        assert all(any(f"encoder.layer.{n}." in name for n in range(layer)) for name in changed - own)
        assert bool(changed - own) == (lower_pace > 0 and layer > 0)


def test_lower_layers_keep_their_share_of_the_learning_rate(given):
    cfg = settings(strategy="progressive", lower_pace=0.2)
    student = mobilebert.build_student(cfg, replace(given, start=None))
    stages = mobilebert.stages(cfg, given, student)
    next(stages)
    second = next(stages)
    paces = {name: second.pace(name) for name, value in student.named_parameters() if value.requires_grad}
    assert {pace for name, pace in paces.items() if ".layer.0." in name} == {0.2}
    assert {pace for name, pace in paces.items() if ".layer.1." in name} == {1.0}
    assert all(".layer.0." in name or ".layer.1." in name for name in paces)


def test_progressive_phase_leaves_later_layers_without_gradient(given):
    cfg = settings(strategy="progressive")
    student = mobilebert.build_student(cfg, replace(given, start=None))
    mobilebert._open(student, 2, 0.0)
    batch = next(iter(given.data.train.all(8)))
    sum(mobilebert._layer_step(cfg, given.teacher, student, 2, 2)(batch).values()).backward()
    touched = {name for name, parameter in student.named_parameters() if parameter.grad is not None}
    assert touched
    assert all("encoder.layer.1." in name for name in touched)
    assert len(student.base_model.encoder.layer) == 4


def test_auxiliary_transfer_is_part_of_distillation(given, tmp_path):
    _, lines = cook(NAME, settings(strategy="auxiliary", polish_optim=None), given, tmp_path)
    assert {line["stage"] for line in lines} == {"distill"}
    assert {"feature", "attention", "logits"} <= lines[0]["terms"].keys()


def test_corpus_feeds_the_transfer(tmp_path):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("the film is in the scene\n" * 24, encoding="utf-8")
    _, lines = cook(NAME, settings(), ingredients(tmp_path, corpus=corpus), tmp_path / "run")
    assert {line["tokens"] for line in lines if line["stage"] == "transfer"} == {8 * 8}
    assert len({line["tokens"] for line in lines if line["stage"] == "distill"}) > 1
    assert settings().reads_corpus
    assert not settings(strategy="auxiliary").reads_corpus


@pytest.mark.parametrize("loss", ["mse", "kl"])
@pytest.mark.parametrize("kind", ["pair", "regression", "span", "tokens"])
def test_every_kind_of_task(tmp_path, kind, loss):
    write_kind(tmp_path / "data", kind)
    labels = {"regression": ("score",), "tokens": ("DET", "OTHER")}.get(kind, ("no", "yes"))
    head = kind if kind in {"span", "tokens"} else "sequence"
    made = ingredients(tmp_path, TASKS[kind], tmp_path / "data", head=head, labels=labels)
    student, lines = cook(NAME, settings(logit_loss=loss, polish={"labels": 0.5}), made, tmp_path / "run")
    assert {"logits", "labels"} <= lines[-1]["terms"].keys()
    assert all(torch.isfinite(value).all() for value in student.state_dict().values())


def test_student_of_fewer_layers_follows_a_map(given, tmp_path):
    student, _ = cook(NAME, settings(num_layers=2, layer_map=(1, 4)), given, tmp_path)
    assert student.config.num_hidden_layers == 2


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_layers": 5}, "deeper than its teacher of 4"),
        ({"layer_map": (1, 9)}, "no teacher layer 9"),
        ({"num_layers": 3, "layer_map": (1, 4)}, "2 entries for 3"),
        ({"intra_size": 5}, "cannot be cut into the teacher's 2 heads"),
        ({"embedding_size": 64}, "wider than the teacher's 16"),
    ],
)
def test_impossible_shapes_are_refused(given, values, message):
    with pytest.raises(ConfigError, match=message):
        mobilebert.build_student(settings(**values), replace(given, start=None))


def test_a_student_to_go_on_with_must_fit(given, tmp_path):
    with pytest.raises(ConfigError, match="of width 16 with 2 heads"):
        mobilebert.build_student(settings(), given)
    start = save_checkpoint(tmp_path, tiny_model("mobilebert"))
    student = mobilebert.build_student(settings(), replace(given, start=str(start)))
    assert student.config.model_type == "mobilebert"


def test_teacher_with_other_tokens_is_refused_for_layers(given, tmp_path):
    other = of_other_tokens(given, tmp_path)
    with pytest.raises(ConfigError, match=r"transfer, distill, polish: .* splits text into other tokens"):
        cook(NAME, settings(), other, tmp_path / "refused")
    sentences_only = settings(
        strategy="auxiliary",
        distill={"feature": 0, "mean": 0, "variance": 0, "attention": 0},
        polish={"feature": 0},
    )
    _, lines = cook(NAME, sentences_only, other, tmp_path / "run")
    assert lines[0]["terms"].keys() == {"logits"}


def test_needs_a_teacher(given):
    with pytest.raises(ConfigError, match="--teacher"):
        mobilebert.build_student(settings(), Ingredients(data=given.data, teacher=None))


def test_augmenting_changes_what_is_read_and_takes_no_labels(given, tmp_path):
    _, usual = cook(NAME, settings(), given, tmp_path / "usual")
    _, augmented = cook(NAME, settings(augment=0.5), given, tmp_path / "augmented")
    assert all(a["terms"] != b["terms"] for a, b in zip(usual, augmented, strict=True))
    assert [line["tokens"] for line in usual] == [line["tokens"] for line in augmented]
    with pytest.raises(ConfigError, match="has no labels"):
        settings(augment=0.5, polish={"labels": 1.0})


@pytest.mark.parametrize("term", ["logits", "labels", "next_sentence"])
def test_a_single_layer_has_no_answers_to_learn(term):
    with pytest.raises(ConfigError, match="a single layer has no answers"):
        settings(strategy="progressive", transfer={term: 1.0})


def test_every_stage_begins_with_an_optimiser_without_memory(given, tmp_path):
    """After a transfer too slow to change a weight, the distillation goes as if there had been none."""
    slow = {"lr": 1e-20, "max_steps": 3, "batch_size": 8}
    _, alone = cook(NAME, settings(strategy="auxiliary"), given, tmp_path / "alone")
    _, after = cook(NAME, settings(transfer_optim=slow), given, tmp_path / "after")
    found = [[line["terms"] for line in lines if line["stage"] == "distill"] for lines in (alone, after)]
    assert found[0] == found[1]
    assert len(found[0]) > 1


@pytest.fixture
def words(tmp_path):
    """A teacher that guesses words, and raw text."""
    return replace(ingredients_of("mlm", tmp_path / "words"), start=None)


def test_words_of_raw_text_are_not_replaced(words):
    with pytest.raises(ConfigError, match="words of raw text are hidden instead"):
        mobilebert.build_student(settings(augment=0.5), words)


def test_pretraining_distillation_on_raw_text(words, tmp_path):
    """Section 3.4: soft and hard masked words beside the transfer; nothing but text is needed."""
    cfg = settings(distill={"labels": 0.5}, embedding_size=8)
    student, lines = cook(NAME, cfg, words, tmp_path / "run")
    assert type(student).__name__ == "MobileBertForMaskedLM"
    assert [line["stage"] for line in lines[::2]] == ["transfer", "distill", "polish"]
    by_stage = {line["stage"]: line["terms"].keys() for line in lines}
    assert {"feature", "attention", "logits", "labels"} <= by_stage["distill"]
    assert by_stage["polish"] == {"feature", "logits"}
    words_table = student.get_input_embeddings().weight
    assert student.cls.predictions.decoder.weight is words_table
    assert words_table[0].eq(0).all()  # PAD, which the trigram reads, though it is a row of the output table too
    assert not words_table[1].eq(0).all()


def test_soft_words_are_0_nats_for_the_same_model(words):
    """A teacher asked to teach itself: KL, not cross entropy, so that it reads 0."""
    teacher = load(words.teacher.facts.source).model
    step = mobilebert._step(settings(), Weights(feature=0, mean=0, variance=0, attention=0, logits=1.0), "mlm",
                            words.teacher, teacher, (1, 2, 3, 4))  # fmt: skip
    masked = Masked(words.data.train, vocabulary_of(words.data.tokenizer))
    assert step(next(masked.epoch(0, 0, 8)))["logits"].item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(("strategy", "divisor"), [("joint", 1), ("progressive", 4)])
def test_the_transfer_as_in_the_authors_code(given, strategy, divisor):
    teacher = load(given.teacher.facts.source)
    for number, layer in enumerate(teacher.model.base_model.encoder.layer):  # untrained ones are all alike
        layer.output.LayerNorm.bias.data += number
        layer.output.LayerNorm.weight.data *= 2.0 + number
    given = replace(given, teacher=OnlineTeacher(teacher))
    student = mobilebert.build_student(settings(), replace(given, start=None)).eval()
    batch = next(iter(given.data.train.all(8)))

    def terms(fidelity):
        stages = mobilebert.stages(settings(strategy=strategy, fidelity=fidelity), given, student)
        return {name: term.item() for name, term in next(stages).step(batch).items()}

    plain, mixed = terms("paper"), terms("reference")
    assert all(divisor * mixed[name] != pytest.approx(plain[name], rel=1e-3) for name in ("mean", "variance"))
    assert divisor * mixed["feature"] == pytest.approx(plain["feature"])
    assert divisor * mixed["attention"] > plain["attention"] + 0.1  # the teacher's entropy: not 0 when equal
