from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from edgedistill.artifacts import Source
from edgedistill.data.batches import Encoded
from edgedistill.data.cache_card import Fingerprint, Kept
from edgedistill.data.logit_cache import LogitCache
from edgedistill.errors import CheckpointError, TrainingError
from edgedistill.models.outputs import Want
from edgedistill.training.teachers import CachedTeacher, EnsembleTeacher, OnlineTeacher, average_for
from tests.support import LABELS, TinyRows, tiny_model

FINGERPRINT = Fingerprint(teacher="t", tokenizer="k", max_length=32, data="d")
LOGITS = Kept()
ROWS = TinyRows(20)
PROBE = ROWS.batch(torch.tensor([3, 17, 0, 9]))


def online(seed=0, kind="single", labels=LABELS, head="sequence", **shape):
    model = tiny_model(head=head, labels=labels, seed=seed, **shape)
    source = Source(path=f"teacher{seed}", sha256=str(seed), family="bert", parameters=model.num_parameters())
    return OnlineTeacher(
        SimpleNamespace(
            model=model, kind=kind, labels=labels, licence="mit", path=f"teacher{seed}", source=source, parents=()
        )
    )


def cached(teacher, folder, kept=LOGITS):
    looked_up = CachedTeacher(teacher, LogitCache(folder, replace(FINGERPRINT, kept=kept)))
    looked_up.fill(ROWS.all(7))
    return looked_up


def test_providers_agree(tmp_path):
    teacher = online()
    expected = teacher(PROBE).logits
    assert torch.allclose(cached(teacher, tmp_path)(PROBE).logits, expected, atol=1e-3)
    for average in ("probabilities", "logits"):
        twice = EnsembleTeacher([teacher, online()], average)(PROBE).logits
        assert torch.allclose(twice.softmax(-1), expected.softmax(-1), atol=1e-3)


def test_online_teacher_never_trains():
    teacher = online(dropout=0.5)
    teacher._model.train()
    first, second = teacher(PROBE), teacher(PROBE)
    assert torch.equal(first.logits, second.logits)
    assert not first.logits.requires_grad
    assert not any(parameter.requires_grad for parameter in teacher._model.parameters())


def test_online_teacher_gives_hidden_states_and_attentions():
    found = online()(PROBE, Want(hidden=True, attentions=True))
    assert (len(found.hidden), len(found.attentions)) == (5, 4)


def test_facts():
    facts = online().facts
    assert (facts.family, facts.num_layers, facts.hidden_size, facts.num_heads) == ("bert", 4, 16, 2)
    assert facts.labels == LABELS


def other_tokens():
    tokens = Encoded(*(tensor.clone() for tensor in vars(PROBE.student).values()))
    return replace(PROBE, teacher=tokens)


def test_answers_per_token_need_shared_tokens():
    batch = other_tokens()
    assert online()(batch).logits.shape == (4, 2)
    for want in (Want(hidden=True), Want(attentions=True), Want(scores=True)):
        with pytest.raises(TrainingError, match="different tokens"):
            online()(batch, want)
    for kind in ("tokens", "span"):
        with pytest.raises(TrainingError, match="different tokens"):
            online(kind=kind, head=kind)(batch)


def test_cache_answers_in_the_order_asked(tmp_path):
    teacher = cached(online(), tmp_path)
    backwards = ROWS.batch(torch.tensor([9, 0, 17, 3]))
    assert torch.equal(teacher(PROBE).logits.flip(0), teacher(backwards).logits)


def test_cache_holds_logits_only(tmp_path):
    with pytest.raises(TrainingError, match="logits only"):
        cached(online(), tmp_path)(PROBE, Want(hidden=True))


@pytest.mark.parametrize(("dtype", "close"), [("float32", 1e-6), ("float16", 5e-3)])
def test_cached_states_are_those_of_the_online_teacher(tmp_path, dtype, close):
    teacher = online()
    found = cached(teacher, tmp_path, Kept((1, 3), dtype))(PROBE, Want(cls=(3, 1))).cls
    whole = teacher(PROBE, Want(hidden=True)).hidden
    assert torch.equal(teacher(PROBE, Want(cls=(3, 1))).cls, torch.stack((whole[3], whole[1]), 1)[:, :, 0])
    assert torch.allclose(found, teacher(PROBE, Want(cls=(3, 1))).cls, atol=close)


def test_states_of_the_whole_text_need_no_shared_tokens():
    assert online()(other_tokens(), Want(cls=(2,))).cls.shape == (4, 1, 16)


def test_who_shows_what(tmp_path):
    assert online().facts.shows_cls
    assert not EnsembleTeacher([online()]).facts.shows_cls
    assert not cached(online(), tmp_path / "logits").facts.shows_cls
    facts = cached(online(), tmp_path / "states", Kept((1, 3))).facts
    assert (facts.shows_layers, facts.shows_cls) == (False, True)
    with pytest.raises(TrainingError, match="logits only"):
        EnsembleTeacher([online()])(PROBE, Want(cls=(1,)))
    with pytest.raises(TrainingError, match=r"holds logits, not the \[CLS\] of layer 1"):
        cached(online(), tmp_path / "logits")(PROBE, Want(cls=(1,)))


def test_ensemble_averages_probabilities_or_logits():
    members = [online(0), online(1)]
    logits = torch.stack([member(PROBE).logits for member in members])
    assert torch.allclose(EnsembleTeacher(members, "logits")(PROBE).logits, logits.mean(0))
    mean = EnsembleTeacher(members, "probabilities")(PROBE).logits.softmax(-1)
    assert torch.allclose(mean, logits.softmax(-1).mean(0), atol=1e-6)


@pytest.mark.parametrize(("kind", "head"), [("single", "sequence"), ("tokens", "tokens"), ("span", "span")])
def test_equal_teachers_answer_together_as_each_alone(kind, head):
    """Over classes, or over a span's places; logits of classes may differ by what softmax does not see."""
    member = online(kind=kind, head=head)
    alone = member(PROBE).logits
    together = EnsembleTeacher([member, member], average_for(kind))(PROBE).logits
    classes = 1 if kind == "span" else -1
    assert torch.allclose(together.softmax(classes), alone.softmax(classes), atol=1e-6)
    assert average_for("regression") == average_for("ranking") == "logits"


def test_ensemble_refuses_what_it_cannot_do():
    with pytest.raises(CheckpointError, match="same labels in the same order"):
        EnsembleTeacher([online(), online(labels=LABELS[::-1])])
    with pytest.raises(CheckpointError, match="at least one"):
        EnsembleTeacher([])
    with pytest.raises(TrainingError, match="logits only"):
        EnsembleTeacher([online()])(PROBE, Want(attentions=True))


def test_ensemble_facts_name_all_members():
    facts = EnsembleTeacher([online(0), online(1)]).facts
    assert facts.sha256 == "0+1"
    assert facts.parameters == 2 * online().facts.parameters
