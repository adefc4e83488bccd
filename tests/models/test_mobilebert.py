import pytest
import torch
from transformers import AutoModelForSequenceClassification, GPT2Config, GPT2ForSequenceClassification

from edgedistill.data.batches import Encoded
from edgedistill.errors import CheckpointError, ConfigError
from edgedistill.models import ib_bert
from edgedistill.models.answers import answer
from edgedistill.models.mobilebert import Shape, mobilebert_for, unlearned_mobilebert
from edgedistill.models.outputs import Want
from tests.support import sentences, tiny_model, tiny_tokenizer

SHAPE = Shape(layers=4, intra=8, embedding=8)


def tokens(pad_to=None):
    how = {"padding": "max_length", "max_length": pad_to} if pad_to else {"padding": True}
    found = tiny_tokenizer()([text for text, _ in sentences(4)], return_tensors="pt", **how)
    return Encoded(found["input_ids"], found["attention_mask"], found["token_type_ids"])


def parameters(h, e, i, f, n, layers, vocabulary, positions, classes):
    """Section 3's blocks counted by hand; every norm has 2 values per feature."""
    embeddings = vocabulary * e + positions * h + 2 * h + (3 * e * h + h) + 2 * h
    bottlenecks = 2 * (h * i + i + 2 * i)
    attention = 2 * (i * i + i) + (h * i + i) + (i * i + i) + 2 * i
    feed_forward = n * ((i * f + f) + (f * i + i) + 2 * i)
    output = (i * h + h) + 2 * h
    head = (h * h + h) + (h * classes + classes)
    return embeddings + layers * (bottlenecks + attention + feed_forward + output) + head


def test_parameters_counted_by_hand():
    teacher = tiny_model()
    student = mobilebert_for(teacher, "single", SHAPE)
    expected = parameters(16, 8, 8, 16, 2, 4, teacher.config.vocab_size, 128, 2)
    assert student.num_parameters() == expected


def test_default_width_is_72_for_the_minilm_shape():
    teacher = tiny_model(hidden=48, heads=12)
    teacher.config.hidden_size = 384
    from edgedistill.models.mobilebert import _config

    assert _config(teacher, Shape(layers=4)).intra_bottleneck_size == 72


@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta", "mobilebert"])
@pytest.mark.parametrize(
    ("kind", "head"), [("single", "sequence"), ("regression", "sequence"), ("span", "span"), ("tokens", "tokens")]
)
def test_features_and_attentions_fit_any_teacher_without_projection(family, kind, head):
    labels = ("score",) if kind == "regression" else ("O", "B", "I")
    teacher = tiny_model(family, head, labels=labels)
    student = mobilebert_for(teacher, kind, SHAPE)
    want = Want(hidden=True, attentions=True)
    ours, theirs = answer(student, tokens(), want), answer(teacher, tokens(), want)
    assert ours.logits.shape == theirs.logits.shape
    assert [h.shape for h in ours.hidden] == [h.shape for h in theirs.hidden]
    assert [a.shape for a in ours.attentions] == [a.shape for a in theirs.attentions]


def test_full_width_factorisation_gives_the_teachers_embeddings_exactly():
    teacher = tiny_model()
    student = mobilebert_for(teacher, "single", Shape(layers=1, intra=8, embedding=16, norm="layer_norm"))
    want = Want(hidden=True)
    ours, theirs = answer(student, tokens(), want).hidden[0], answer(teacher, tokens(), want).hidden[0]
    real = tokens().attention_mask.bool()
    assert torch.allclose(ours[real], theirs[real], atol=1e-4)


def test_factorisation_is_the_best_of_its_rank():
    teacher = tiny_model()
    own = mobilebert_for(teacher, "single", SHAPE).base_model.embeddings
    table = teacher.base_model.embeddings.word_embeddings.weight.clone()
    table[0] = 0
    rebuilt = own.word_embeddings.weight @ own.embedding_transformation.weight[:, 8:16].T
    left_out = torch.linalg.svdvals(table.double())[8:]
    assert (table - rebuilt).norm().item() == pytest.approx(left_out.norm().item(), rel=1e-4)
    assert own.embedding_transformation.weight[:, :8].abs().max().item() == 0
    assert own.embedding_transformation.weight[:, 16:].abs().max().item() == 0


@pytest.mark.parametrize(
    ("family", "head", "kind"),
    [
        ("bert", "sequence", "single"),
        ("roberta", "sequence", "single"),
        ("mobilebert", "sequence", "single"),
        ("bert", "mlm", "mlm"),
        ("mobilebert", "mlm", "mlm"),
    ],
)
def test_answers_do_not_depend_on_padding(family, head, kind):
    teacher = tiny_model(family, head)
    pad = teacher.config.pad_token_id
    torch.nn.init.normal_(teacher.get_input_embeddings().weight)  # PAD's row too, as in published checkpoints
    student = mobilebert_for(teacher, kind, SHAPE).eval()
    assert student.base_model.embeddings.word_embeddings.weight[pad].abs().max().item() == 0
    with torch.no_grad():
        short = tokens()
        ids = torch.where(short.attention_mask.bool(), short.input_ids, pad)
        wide = tokens(pad_to=40)
        wide_ids = torch.where(wide.attention_mask.bool(), wide.input_ids, pad)
        want = Want(hidden=True)
        a = answer(student, Encoded(ids, short.attention_mask, short.token_type_ids), want).hidden[-1]
        b = answer(student, Encoded(wide_ids, wide.attention_mask, wide.token_type_ids), want).hidden[-1]
    real = short.attention_mask.bool()
    assert torch.allclose(a[real], b[:, : a.shape[1]][real], atol=1e-5)


@pytest.mark.parametrize("family", ["bert", "roberta", "mobilebert"])
def test_head_is_the_teachers(family):
    teacher = tiny_model(family)
    student = mobilebert_for(teacher, "single", SHAPE)
    out = teacher.classifier.out_proj if family == "roberta" else teacher.classifier
    assert torch.equal(student.classifier.weight, out.weight)


def test_labels_travel_and_the_student_loads_back(tmp_path):
    student = mobilebert_for(tiny_model(labels=("no", "maybe", "yes")), "single", SHAPE).eval()
    student.save_pretrained(tmp_path)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path, attn_implementation="eager")
    assert again.config.id2label == {0: "no", 1: "maybe", 2: "yes"}
    assert torch.equal(answer(student, tokens()).logits, answer(again, tokens()).logits)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (Shape(layers=4, intra=9), r"9 cannot be cut into the teacher's 2 heads. Try 8"),
        (Shape(layers=4, embedding=17), r"17 is wider than the teacher's 16"),
    ],
)
def test_impossible_shapes_are_refused(shape, message):
    with pytest.raises(ConfigError, match=message):
        mobilebert_for(tiny_model(), "single", shape)


def test_mobilebert_teacher_with_another_embedding_width_is_refused():
    with pytest.raises(ConfigError, match="set it to 8"):
        mobilebert_for(tiny_model("mobilebert"), "single", Shape(layers=4, intra=8, embedding=6))


def test_unknown_embeddings_are_refused():
    teacher = tiny_model()
    del teacher.base_model.embeddings.word_embeddings
    with pytest.raises(CheckpointError, match="cannot be factorised"):
        mobilebert_for(teacher, "single", SHAPE)


def test_no_norm_is_affine_and_layer_norm_is_not():
    for norm, is_affine in (("no_norm", True), ("layer_norm", False)):
        student = mobilebert_for(tiny_model(), "single", Shape(layers=1, intra=8, embedding=8, norm=norm))
        function = student.base_model.encoder.layer[0].output.LayerNorm
        x, y = torch.randn(2, 3, 8).unbind()
        mixed = function(0.3 * x + 0.7 * y)
        assert torch.allclose(mixed, 0.3 * function(x) + 0.7 * function(y), atol=1e-6) == is_affine


def test_no_norm_folds_into_the_next_layer():
    """W (x * gain + bias) + b is one layer of x, which a LayerNorm's is not; in a block, before its feed-forward."""
    for norm, folds in (("no_norm", True), ("layer_norm", False)):
        student = mobilebert_for(tiny_model(), "single", Shape(layers=1, intra=8, embedding=8, norm=norm)).double()
        block = student.base_model.encoder.layer[0]
        before, after = block.attention.output.LayerNorm, block.ffn[0].intermediate.dense
        torch.nn.init.normal_(before.weight)
        torch.nn.init.normal_(before.bias)
        x = torch.randn(5, 8, dtype=torch.float64)
        folded = x @ (after.weight * before.weight).T + after.weight @ before.bias + after.bias
        assert torch.allclose(folded, after(before(x)), atol=1e-5) is folds


def test_a_row_of_pad_that_is_not_0_is_read_by_the_stock_model():
    """Its trigram reads the token after the last; ours has 0 there, which is what an unpadded text reads."""
    student = mobilebert_for(tiny_model(), "single", SHAPE).base_model.eval()
    torch.nn.init.normal_(student.embeddings.embedding_transformation.weight)
    ids = torch.tensor([[2, 7, 8, 9, 3]])
    padded = torch.cat((ids, torch.zeros(1, 4, dtype=torch.long)), dim=1)
    changes = []
    for row in (0.0, 1.0):
        with torch.no_grad():
            student.embeddings.word_embeddings.weight[0] = row
            alone = student(ids, attention_mask=torch.ones_like(ids)).last_hidden_state
            beside = student(padded, attention_mask=padded.ne(0).long()).last_hidden_state[:, :5]
        changes.append((alone - beside).abs().max().item())
    assert changes[0] < 1e-5 < 1e-3 < changes[1]


@pytest.mark.parametrize(
    ("shape", "count"),
    [
        (Shape(layers=24, intra=128, ffn=512, num_ffn=4, embedding=128), 24_581_888),
        (Shape(layers=24, intra=128, ffn=512, num_ffn=2, embedding=128, attention="narrow"), 15_485_696),
    ],
)
def test_around_ib_bert_large_the_papers_students_come_out(shape, count):
    with torch.device("meta"):
        student = mobilebert_for(ib_bert.ib_bert(ib_bert.Shape(), 30522), "mlm", shape)
    assert student.base_model.num_parameters() == count


def test_around_ib_bert_large_features_and_attentions_have_the_papers_shapes():
    """Section 7.8: 24 times (B, S, 512) and 4 heads on either side, so that nothing is projected."""
    rows, length, want = 2, 7, Want(hidden=True, attentions=True)
    with torch.device("meta"):
        teacher = ib_bert.ib_bert(ib_bert.Shape(), 30522)
        student = mobilebert_for(teacher, "mlm", Shape(layers=24, intra=128, ffn=512, num_ffn=4, embedding=128))
        ids = torch.ones(rows, length, dtype=torch.long)
        # What is added to the scores: transformers looks into a mask of tokens, and on this device nothing is there.
        tokens = Encoded(ids, torch.zeros(rows, 1, length, length), ids)
        found = [answer(model, tokens, want) for model in (teacher, student)]
    for outputs in found:
        assert [state.shape for state in outputs.hidden[1:]] == [(rows, length, 512)] * 24
        assert [weights.shape for weights in outputs.attentions] == [(rows, 4, length, length)] * 24


def test_everything_outside_the_encoder_is_the_ib_berts():
    """The authors' start: what has the teacher's name and shape is copied, the blocks are random."""
    torch.manual_seed(0)
    shape = ib_bert.Shape(num_layers=4, hidden_size=16, intra_size=32, num_heads=2, ffn_size=32, embedding_size=8)
    teacher = ib_bert.ib_bert(shape, len(tiny_tokenizer()), max_length=128)
    words = teacher.get_input_embeddings().weight.data
    torch.nn.init.normal_(words)
    student = mobilebert_for(teacher, "mlm", Shape(layers=4, intra=8, num_ffn=2))
    words[teacher.config.pad_token_id] = 0  # the one row that is not passed on, nor its tied twin in the head
    theirs, ours = teacher.state_dict(), student.state_dict()
    copied = {name for name in ours if name in theirs and "encoder" not in name and "LayerNorm" not in name}
    assert "mobilebert.embeddings.embedding_transformation.weight" in copied
    assert "cls.predictions.dense.weight" in copied
    assert all(torch.equal(ours[name], theirs[name]) for name in copied)
    assert student.config.embedding_size == 8


def test_an_unlearned_student_has_the_shape_and_no_two_equal_tensors():
    """Converters store equal tensors once: a file of zeros and ones would be smaller than a trained one's."""
    teacher = tiny_model()
    student, unlearned = mobilebert_for(teacher, "single", SHAPE), unlearned_mobilebert(teacher, "single", SHAPE)
    assert {name: value.shape for name, value in unlearned.named_parameters()} == {
        name: value.shape for name, value in student.named_parameters()
    }
    tensors = [tuple(value.flatten().tolist()) for value in unlearned.parameters()]
    assert len(set(tensors)) == len(tensors)
    with torch.device("meta"):
        assert unlearned_mobilebert(teacher, "single", SHAPE).num_parameters() == student.num_parameters()


def test_an_unlearned_student_of_another_family_is_refused():
    config = GPT2Config(vocab_size=150, n_embd=16, n_layer=1, n_head=2)
    with pytest.raises(CheckpointError, match=r"'gpt2' teacher.*There are: bert"):
        unlearned_mobilebert(GPT2ForSequenceClassification(config), "single", SHAPE)
