import pytest
import torch
from transformers import AutoModelForMaskedLM, BertConfig

from edgedistill.data.batches import Encoded
from edgedistill.errors import CheckpointError
from edgedistill.models.answers import answer
from edgedistill.models.distilbert import distilbert_for
from edgedistill.models.outputs import Want
from tests.support import sentences, tiny_model, tiny_tokenizer

FOUND = tiny_tokenizer()([text for text, _ in sentences(6)], return_tensors="pt", padding=True)
TOKENS = Encoded(FOUND["input_ids"], FOUND["attention_mask"], FOUND["token_type_ids"])


def test_half_of_bert_base_has_exactly_66_362_880_parameters():
    with torch.device("meta"):
        teacher = AutoModelForMaskedLM.from_config(BertConfig())
        student = distilbert_for(teacher, "mlm", (1, 3, 5, 8, 10, 12))
    assert student.base_model.num_parameters() == 66_362_880


def test_layers_are_the_teachers_bit_for_bit():
    teacher = tiny_model("bert", "mlm")
    student = distilbert_for(teacher, "mlm", (1, 4))
    for own, number in zip(student.base_model.transformer.layer, (1, 4), strict=True):
        theirs = teacher.base_model.encoder.layer[number - 1]
        assert torch.equal(own.attention.q_lin.weight, theirs.attention.self.query.weight)
        assert torch.equal(own.ffn.lin2.bias, theirs.output.dense.bias)
        assert torch.equal(own.output_layer_norm.weight, theirs.output.LayerNorm.weight)
    words = teacher.base_model.embeddings.word_embeddings.weight
    assert torch.equal(student.base_model.embeddings.word_embeddings.weight, words)
    assert student.vocab_projector.weight is student.base_model.embeddings.word_embeddings.weight
    assert torch.equal(student.vocab_transform.weight, teacher.cls.predictions.transform.dense.weight)


@pytest.mark.parametrize(("head", "kind"), [("mlm", "mlm"), ("span", "span")])
def test_all_layers_copied_answer_as_the_teacher(head, kind):
    teacher = tiny_model("bert", head)
    student = distilbert_for(teacher, kind, (1, 2, 3, 4)).eval()
    one_segment = Encoded(TOKENS.input_ids, TOKENS.attention_mask, torch.zeros_like(TOKENS.input_ids))
    theirs, ours = (answer(model, one_segment, Want(hidden=True)) for model in (teacher, student))
    real = TOKENS.attention_mask.bool()
    assert torch.allclose(ours.logits[real], theirs.logits[real], atol=1e-5)
    assert torch.allclose(ours.hidden[-1][real], theirs.hidden[-1][real], atol=1e-5)
    dropped = distilbert_for(teacher, kind, (1, 2, 3, 4), folds_segment=False).eval()
    assert not torch.allclose(answer(dropped, one_segment).logits[real], theirs.logits[real], atol=1e-3)


def test_the_teacher_is_left_as_it_was():
    teacher = tiny_model("bert", "mlm")
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    distilbert_for(teacher, "mlm", (1, 4))
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())


def test_other_families_are_refused():
    with pytest.raises(CheckpointError, match="not of a roberta"):
        distilbert_for(tiny_model("roberta", "mlm"), "mlm", (1, 2))
