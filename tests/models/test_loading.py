"""Checkpoints are read without trusting them, and every fault is named."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from edgedistill.artifacts import Environment, Source, TaskCard
from edgedistill.errors import CheckpointError, StorageError
from edgedistill.models import loading
from edgedistill.models.loading import load, save
from edgedistill.reports import STUDENT_CARD, StudentCard
from edgedistill.reports import save as save_report
from tests.support import save_checkpoint, tiny_model, tiny_tokenizer

FAMILIES = ("bert", "distilbert", "mobilebert", "roberta")
KINDS = {"sequence": "single", "span": "span", "tokens": "tokens", "bare": "embedding", "mlm": "mlm"}


@pytest.fixture
def copied(tiny_bert, tmp_path):
    """A copy of the tiny checkpoint to damage."""
    return shutil.copytree(tiny_bert, tmp_path / "checkpoint")


@pytest.mark.parametrize("head", KINDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_reads_kind_and_identity_from_the_folder(family, head, tmp_path):
    model = tiny_model(family, head, layers=1)
    found = load(save_checkpoint(tmp_path / "made", model))
    assert found.kind == KINDS[head]
    assert found.source.family == family
    assert found.source.parameters == sum(p.numel() for p in model.parameters())
    assert len(found.source.sha256) == 64
    assert found.labels == (("negative", "positive") if head in {"sequence", "tokens"} else ())
    assert not found.is_head_new
    assert not found.model.training
    assert found.model.config._attn_implementation == "eager"
    for name, parameter in model.state_dict().items():
        torch.testing.assert_close(found.model.state_dict()[name], parameter, rtol=0, atol=0)


def test_regression_is_told_from_one_output(tmp_path):
    assert load(save_checkpoint(tmp_path / "made", tiny_model(labels=("score",), layers=1))).kind == "regression"


def test_half_precision_weights_become_float32(tmp_path):
    found = load(save_checkpoint(tmp_path / "made", tiny_model(layers=1).half()))
    assert {parameter.dtype for parameter in found.model.parameters()} == {torch.float32}


@pytest.mark.parametrize("kind", ["single", "pair", "regression", "span", "tokens"])
def test_a_bare_encoder_gets_a_new_head(kind, tmp_path):
    folder = save_checkpoint(tmp_path / "made", tiny_model(head="bare", layers=1))
    found = load(folder, kind, ["a", "b", "c"])
    assert found.is_head_new
    assert found.kind == kind
    assert found.model.config.num_labels == {"regression": 1, "span": 2}.get(kind, 3)


def test_another_number_of_labels_means_a_new_head_over_the_same_encoder(tiny_bert):
    found, own = load(tiny_bert, "single", ["a", "b", "c"]), load(tiny_bert)
    assert found.is_head_new
    assert found.labels == ("a", "b", "c")
    weight = "bert.encoder.layer.0.output.dense.weight"
    torch.testing.assert_close(found.model.state_dict()[weight], own.model.state_dict()[weight])


def test_a_new_head_for_answers_in_a_text_has_their_start_and_end(tmp_path):
    """Whatever the classes of the head that goes."""
    folder = save_checkpoint(tmp_path / "three", tiny_model(labels=("a", "b", "c"), layers=1))
    found = load(folder, kind="span")
    assert found.is_head_new
    assert found.model.qa_outputs.out_features == found.model.config.num_labels == 2


def test_given_labels_name_unnamed_classes_and_no_others(tmp_path, tiny_bert):
    unnamed = save_checkpoint(tmp_path / "made", tiny_model(labels=("LABEL_0", "LABEL_1"), layers=1))
    assert load(unnamed, labels=["no", "yes"]).labels == ("no", "yes")
    assert load(tiny_bert, labels=["no", "yes"]).labels == ("negative", "positive")


def test_save_and_load_give_the_same_model_and_tokens(tiny_bert, tmp_path):
    first = load(tiny_bert)
    first.tokenizer.backend_tokenizer.enable_truncation(4)
    save(tmp_path / "again", first.model, first.tokenizer)
    second = load(tmp_path / "again")
    text = "the film was very lovely and the plot too"
    assert second.tokenizer(text)["input_ids"] == first.tokenizer(text)["input_ids"]
    assert len(second.tokenizer.backend_tokenizer.encode(text).ids) > 4
    for name, weight in first.model.state_dict().items():
        torch.testing.assert_close(second.model.state_dict()[name], weight, rtol=0, atol=0)


def test_card_and_model_card_tell_licence_and_parents(copied):
    assert load(copied).licence == "unknown"
    (copied / "README.md").write_text("---\nlicense: apache-2.0\ntags: [x]\n---\n# A model\n", encoding="utf-8")
    assert load(copied).licence == "apache-2.0"
    teacher = Source(path="teacher", sha256="0" * 64, family="bert", parameters=5)
    card = StudentCard(
        created="2026-01-01T00:00:00+00:00", command="edgedistill distill", recipe="mobilebert", licence="mit",
        environment=Environment(python="3.11", system="Linux", cpu="a", packages={}), student=teacher, teacher=teacher,
        task=TaskCard(name="sst2", kind="single", metric="accuracy"), labels=("negative", "positive"),
    )  # fmt: skip
    save_report(card, copied / STUDENT_CARD)
    found = load(copied)
    assert (found.licence, found.parents, found.card) == ("mit", (teacher,), card)


def test_broken_model_card_is_no_reason_to_stop(copied):
    (copied / "README.md").write_text("---\nlicense: [\n---\n", encoding="utf-8")
    assert load(copied).licence == "unknown"


def assert_refused(folder, match):
    with pytest.raises(CheckpointError, match=match):
        load(folder)


def test_missing_folder_is_refused_with_advice(tmp_path):
    assert_refused(tmp_path / "nowhere", r"no folder '.*nowhere'")


def test_unreachable_hub_id_is_refused_with_advice():
    assert_refused("nobody/nothing-here", r"no folder 'nobody/nothing-here'.*Hub.*Check the spelling")


def test_file_instead_of_folder_is_refused(copied):
    assert_refused(copied / "model.safetensors", "is a file. Give the folder")


def test_folder_without_config_is_refused(copied):
    (copied / "config.json").unlink()
    assert_refused(copied, "no config.json")


@pytest.mark.parametrize("text", ["{", "[]", '{"model_type": "no-such-family"}', "\udcff"])
def test_unreadable_config_is_refused(copied, text):
    (copied / "config.json").write_text(text, encoding="utf-8", errors="surrogateescape")
    assert_refused(copied, "cannot read '.*config.json'")


@pytest.mark.parametrize(
    "change",
    [
        {"tie_word_embeddings": ["x"]},
        {"bos_token_id": True},
        {"architectures": -1},
        {"architectures": {"a": 1}},
        {"architectures": "Strange"},
        {"dtype": ["x"]},
        {"dtype": 1e308},
        {"hidden_size": 0},
        {"num_attention_heads": 0},
        {"vocab_size": 2**40},
        {"id2label": {"5": "only"}},
        {"id2label": {"a": 1}},
        {"hidden_act": "../../etc/passwd"},
    ],
    ids=str,
)
def test_a_value_of_the_config_that_makes_no_sense_is_refused(copied, change):
    config = json.loads((copied / "config.json").read_text(encoding="utf-8"))
    (copied / "config.json").write_text(json.dumps(config | change), encoding="utf-8")
    if "Strange" in change.values():
        assert_refused(copied, "is a Strange, which is not read here")
    elif isinstance(change.get("architectures"), int | dict):
        assert_refused(copied, "which is not read here")
    else:
        assert_refused(copied, r"config\.json")


def test_a_builder_builds_the_same_model_and_reads_only_its_weights(tiny_bert, monkeypatch):
    build = loading.builder(tiny_bert)
    whole = load(tiny_bert).model.state_dict()
    for name in ("_tokenizer", "_refuse_not_finite", "sha256_of_weights", "folder_of", "config_of", "weight_files"):
        monkeypatch.setattr(loading, name, None)
    built = build()
    assert not built.training
    for name, weight in built.state_dict().items():
        torch.testing.assert_close(weight, whole[name], rtol=0, atol=0)


def test_pickled_weights_are_never_opened(copied):
    """The file would create another one when unpickled."""
    trap = copied / "opened"
    (copied / "model.safetensors").unlink()
    payload = f"cos\nsystem\n(S'touch {trap}'\ntR.".encode()
    (copied / "pytorch_model.bin").write_bytes(payload)
    assert_refused(
        copied, r"only pickled weights \(pytorch_model.bin\).*safetensors: transformers.BertForSequenceClassif"
    )
    assert not trap.exists()
    (copied / "pytorch_model.bin").unlink()  # as a Hub id's is not even fetched
    assert_refused(
        copied, r"no model.safetensors in it. A Hub id may .* transformers.BertForSequenceClassification.from_pre"
    )
    config = json.loads((copied / "config.json").read_text(encoding="utf-8"))
    for named in (["os.system"], "x", [], None):
        (copied / "config.json").write_text(json.dumps(config | {"architectures": named}), encoding="utf-8")
        assert_refused(copied, r"transformers\.AutoModel\.from_pretrained\(ID\)")


def test_code_beside_the_weights_is_never_run(copied):
    config = json.loads((copied / "config.json").read_text(encoding="utf-8"))
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config"}}
    (copied / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (copied / "mine.py").write_text(f"open({str(copied / 'opened')!r}, 'w')\n", encoding="utf-8")
    assert_refused(copied, "cannot read")
    assert not (copied / "opened").exists()


def test_folder_without_weights_is_refused(copied):
    (copied / "model.safetensors").unlink()
    assert_refused(copied, "no weights")


@pytest.mark.parametrize("damage", ["cut", "header", "empty"])
def test_damaged_weights_are_refused(copied, damage):
    path = copied / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes({"cut": whole[:-100], "header": b"\xff" * 8 + whole[8:], "empty": b""}[damage])
    assert_refused(copied, "corrupt or cut short")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(copied, value):
    weights = load_file(copied / "model.safetensors")
    weights["bert.encoder.layer.1.output.dense.weight"][0, 0] = value
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    assert_refused(copied, r"'bert.encoder.layer.1.output.dense.weight' holds NaN or infinity")


def test_missing_layer_is_refused(copied):
    weights = load_file(copied / "model.safetensors")
    kept = {name: weight for name, weight in weights.items() if "layer.2." not in name}
    save_file(kept, copied / "model.safetensors", metadata={"format": "pt"})
    assert_refused(copied, r"16 missing.*layer\.2\.")


def test_missing_head_is_refused_unless_a_new_one_is_wanted(copied):
    weights = load_file(copied / "model.safetensors")
    kept = {name: weight for name, weight in weights.items() if "classifier" not in name}
    save_file(kept, copied / "model.safetensors", metadata={"format": "pt"})
    assert_refused(copied, r"2 missing.*classifier")
    assert load(copied, "single", ["a", "b", "c"]).is_head_new


def test_weights_of_another_shape_are_refused(copied):
    weights = load_file(copied / "model.safetensors")
    weights["bert.encoder.layer.0.output.dense.weight"] = torch.zeros(3, 3)
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    assert_refused(copied, "checkpoint")


def test_missing_tokenizer_is_refused(copied):
    for path in copied.glob("*token*"):
        path.unlink()
    assert_refused(copied, "has no tokenizer")


def test_unreadable_tokenizer_is_refused(copied):
    (copied / "tokenizer.json").write_text("{", encoding="utf-8")
    assert_refused(copied, "cannot read the tokenizer")


def test_larger_vocabulary_than_the_model_knows_is_refused(copied):
    words = [f"word{number}" for number in range(3000)]
    tiny_tokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]).save_pretrained(copied)
    assert_refused(copied, "3005 entries and the model's embedding table .* rows: they belong to different models")


def test_much_smaller_vocabulary_than_the_model_knows_is_refused(tmp_path):
    assert_refused(save_checkpoint(tmp_path / "made", tiny_model(vocab_size=5000, layers=1)), "different models")


def test_unknown_architecture_is_refused(copied):
    config = json.loads((copied / "config.json").read_text(encoding="utf-8"))
    (copied / "config.json").write_text(
        json.dumps(config | {"architectures": ["BertForNextSentencePrediction"]}), encoding="utf-8"
    )
    assert_refused(copied, "BertForNextSentencePrediction, which is not read here")


def test_full_disk_while_saving_is_a_storage_error(tiny_bert, tmp_path, monkeypatch):
    """safetensors reports it in an error of its own."""
    found = load(tiny_bert)

    def full(*_args, **_kwargs):
        raise loading.SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(found.model, "save_pretrained", full)
    with pytest.raises(StorageError, match="no space left on the disk"):
        save(tmp_path / "out", found.model, found.tokenizer)
