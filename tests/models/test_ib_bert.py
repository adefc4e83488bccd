import pytest
import torch
from transformers import AutoModel

from edgedistill.data.batches import Encoded
from edgedistill.errors import ConfigError
from edgedistill.models.answers import answer
from edgedistill.models.ib_bert import IBBertForMaskedLM, Shape, ib_bert
from edgedistill.models.loading import load
from edgedistill.models.outputs import Want
from tests.support import save_checkpoint, vocabulary

NARROW = Shape(num_layers=3, hidden_size=16, intra_size=32, num_heads=2, ffn_size=48, embedding_size=8)
WORDS = len(vocabulary())


def test_ib_bert_large_has_the_papers_parameters():
    """recipes: exactly 294,205,184 without the output table's extra columns and the head's transform."""
    with torch.device("meta"):
        model = ib_bert(Shape(), 30522)
    assert model.base_model.num_parameters() == 294_205_184
    layer = sum(value.numel() for value in model.base_model.encoder.layer[0].parameters())
    assert layer == 12_076_544


def test_queries_and_keys_read_the_stream_between_the_blocks():
    own = ib_bert(NARROW, WORDS).mobilebert.encoder.layer[0].attention.self
    assert [linear.in_features for linear in (own.query, own.key, own.value)] == [16, 16, 16]
    assert own.query.weight.std().item() == pytest.approx(0.02, rel=0.2)


def test_saved_and_read_back_it_answers_the_same(tmp_path):
    torch.manual_seed(0)
    model = ib_bert(NARROW, WORDS, max_length=128).eval()
    found = load(save_checkpoint(tmp_path / "ib", model))
    assert type(found.model) is IBBertForMaskedLM
    assert (found.kind, found.source.family) == ("mlm", "ib_bert")
    ids = torch.tensor([[2, 9, 12, 3, 0]])
    tokens = Encoded(ids, ids.ne(0).long(), torch.zeros_like(ids))
    want = Want(hidden=True, attentions=True)
    one, two = answer(model, tokens, want), answer(found.model, tokens, want)
    assert torch.allclose(one.logits, two.logits, atol=1e-6)
    assert [state.shape[-1] for state in two.hidden] == [16] * 4
    assert two.attentions[0].shape == (1, 2, 5, 5)
    bare = AutoModel.from_pretrained(tmp_path / "ib")
    assert torch.allclose(bare(ids, attention_mask=tokens.attention_mask)[0], one.hidden[-1], atol=1e-5)


@pytest.mark.parametrize("kind", ["single", "tokens", "span"])
def test_it_gets_a_head_for_a_task_like_any_other(kind, tmp_path):
    """The paper's own tasks, questions among them."""
    save_checkpoint(tmp_path / "ib", ib_bert(NARROW, WORDS, max_length=128))
    labels = () if kind == "span" else ("a", "b", "c")
    found = load(tmp_path / "ib", kind=kind, labels=labels)
    assert found.is_head_new
    assert found.model.config.num_labels == (len(labels) or 2)
    own = found.model.base_model.encoder.layer[0].attention.self
    assert own.query.in_features == NARROW.hidden_size
    again = load(save_checkpoint(tmp_path / "again", found.model), kind=kind, labels=labels)
    assert (again.kind, again.is_head_new, again.source.family) == (kind, False, "ib_bert")


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (Shape(intra_size=1022), "1022 cannot be cut into 4 heads. Try 1024"),
        (Shape(embedding_size=512), "embedding_size: 512 must be narrower than the 512"),
    ],
)
def test_impossible_shapes(shape, message):
    with pytest.raises(ConfigError, match=message):
        ib_bert(shape, 100)
