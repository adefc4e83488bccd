"""Parameters of the papers' models, counted exactly on models of our own builders that take no memory."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from transformers import AutoModelForPreTraining, BertConfig, BertModel, MobileBertModel, PreTrainedModel

from edgedistill.models.ib_bert import IBBertModel, ib_bert
from edgedistill.models.ib_bert import Shape as TeacherShape
from edgedistill.models.mobilebert import Shape as MobileBertShape
from edgedistill.models.mobilebert import mobilebert_for, unlearned_mobilebert
from edgedistill.models.shortened import shorten
from edgedistill.models.tinybert import Projections, tinybert_config
from edgedistill.models.tinybert import Shape as TinyBertShape

PUBLISHED = MobileBertShape(layers=24, intra=128, ffn=512, num_ffn=4, embedding=128)
TINY = MobileBertShape(layers=24, intra=128, ffn=512, num_ffn=2, embedding=128, attention="narrow")


def bert(layers: int = 12, *, has_pooler: bool = True) -> PreTrainedModel:
    return shorten(BertModel(BertConfig(), add_pooling_layer=has_pooler), range(1, layers + 1))


def bert_large() -> PreTrainedModel:
    shape = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
    return BertModel(BertConfig(**shape))


def tinybert(*, has_heads: bool, has_projection: bool) -> nn.ModuleList:
    """TinyBERT4 with both pre-training heads or none, and the one projection of the authors' code beside it."""
    config = tinybert_config(TinyBertShape())
    parts = [AutoModelForPreTraining.from_config(config) if has_heads else BertModel(config)]
    if has_projection:
        parts.append(Projections(config.hidden_size, 768, config.num_hidden_layers, "shared", bias=True, seed=0))
    return nn.ModuleList(parts)


def mobilebert(shape: MobileBertShape) -> PreTrainedModel:
    return mobilebert_for(ib_bert(TeacherShape(), 30522), "mlm", shape).base_model


def mobilebert_of_a_bert() -> PreTrainedModel:
    """Its teacher has a dense layer over [CLS], so that it has one too."""
    teacher = BertModel(BertConfig(hidden_size=512, num_attention_heads=4))
    return unlearned_mobilebert(teacher, "single", PUBLISHED).base_model


def tiny_of_transformers_defaults() -> PreTrainedModel:
    """What a narrow student would be with the shared bottleneck that nothing in it reads."""
    config = mobilebert(TINY).config
    assert not config.key_query_shared_bottleneck
    config.key_query_shared_bottleneck = True
    return MobileBertModel(config)


def ib_bert_with_pooler() -> PreTrainedModel:
    config = ib_bert(TeacherShape(), 30522).config
    config.classifier_activation = True
    return IBBertModel(config)


COUNTS: dict[str, tuple[int, Callable[[], nn.Module]]] = {
    "BERT-large": (335_141_888, bert_large),
    "embeddings of BERT-base": (23_837_184, lambda: bert().embeddings),
    "a layer of BERT-base": (7_087_872, lambda: bert().encoder.layer[0]),
    "BERT of 4 layers": (52_779_264, lambda: bert(4)),
    "BERT of 4 layers without pooler": (52_188_672, lambda: bert(4, has_pooler=False)),
    "TinyBERT4 with heads": (14_479_676, lambda: tinybert(has_heads=True, has_projection=False)),
    "TinyBERT4 with projection": (14_590_632, lambda: tinybert(has_heads=False, has_projection=True)),
    "TinyBERT4 with heads and projection": (14_720_060, lambda: tinybert(has_heads=True, has_projection=True)),
    "MobileBERT with pooler": (24_844_544, mobilebert_of_a_bert),
    "a layer of MobileBERT": (842_240, lambda: mobilebert(PUBLISHED).encoder.layer[0]),
    "embeddings of MobileBERT": (4_368_128, lambda: mobilebert(PUBLISHED).embeddings),
    "a layer of MobileBERT-tiny": (463_232, lambda: mobilebert(TINY).encoder.layer[0]),
    "MobileBERT-tiny with unused weights": (17_067_776, tiny_of_transformers_defaults),
    "IB-BERT_LARGE with pooler": (294_467_840, ib_bert_with_pooler),
    "embeddings of IB-BERT_LARGE": (4_368_128, lambda: ib_bert(TeacherShape(), 30522).base_model.embeddings),
}


@pytest.mark.parametrize(("count", "make"), COUNTS.values(), ids=COUNTS)
def test_the_papers_models_have_exactly_so_many_parameters(count: int, make: Callable[[], nn.Module]) -> None:
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in make().parameters()) == count
