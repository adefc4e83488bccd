import pytest
import torch
from transformers import AutoModel

from edgedistill.errors import ConfigError
from edgedistill.models.starts import refuse_other_shape
from edgedistill.models.tinybert import Projections, Shape, tinybert_config, tinybert_for
from tests.support import tiny_model


@pytest.mark.parametrize(
    ("shape", "count"),
    [
        (Shape(), 14_350_248),  # TinyBERT4, encoder and pooler
        (Shape(layers=6, hidden=768, ffn=3072), 66_955_008),  # TinyBERT6
    ],
)
def test_parameter_counts_are_the_published_models(shape, count):
    with torch.device("meta"):
        model = AutoModel.from_config(tinybert_config(shape))
    assert sum(parameter.numel() for parameter in model.parameters()) == count


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
def test_any_teacher_gives_vocabulary_and_labels(family):
    teacher = tiny_model(family)
    student = tinybert_for(teacher, "single", Shape(layers=2, hidden=12, ffn=20, heads=3))
    assert type(student).__name__ == "BertForSequenceClassification"
    config, given = student.config, teacher.config
    assert (config.vocab_size, config.pad_token_id) == (given.vocab_size, given.pad_token_id)
    assert config.id2label == given.id2label
    assert config.max_position_embeddings == 128


def test_a_width_that_heads_do_not_divide_is_refused():
    with pytest.raises(ConfigError, match=r"312 cannot be cut into 16 heads. Set hidden_size=320"):
        tinybert_config(Shape(heads=16))


@pytest.mark.parametrize(("sharing", "maps"), [("paper", 2), ("shared", 1), ("each", 4)])
def test_projections_are_shared_as_said(sharing, maps):
    project = Projections(4, 6, 3, sharing, bias=False, seed=0)
    hidden = torch.randn(1, 2, 4)
    found = [project(hidden, layer) for layer in range(4)]
    assert len(project.maps) == maps
    assert len({each.sum().item() for each in found}) == maps
    assert torch.equal(found[1], found[2]) is (sharing != "each")


def test_projections_begin_the_same_for_a_seed_and_as_identity_for_equal_widths():
    hidden = torch.randn(2, 3, 4)
    one, same, other = (Projections(4, 6, 2, "paper", bias=True, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one(hidden, 1), same(hidden, 1))
    assert not torch.equal(one(hidden, 1), other(hidden, 1))
    assert torch.equal(Projections(4, 4, 2, "paper", bias=True, seed=0)(hidden, 1), hidden)


def test_a_start_of_another_shape_is_refused():
    model = tiny_model()
    refuse_other_shape(model, "there", {"num_layers": 4, "hidden_size": None, "num_heads": 2})
    with pytest.raises(ConfigError, match=r"num_layers: 3 is asked for, but --student 'there' has 4"):
        refuse_other_shape(model, "there", {"num_layers": 3})
