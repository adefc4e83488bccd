"""Every view answers as the stock model does, and padding cannot change the answer."""

import pytest
import torch
import transformers

from edgedistill.errors import ExportError
from edgedistill.models.views import view_of

SHAPE = {"vocab_size": 50, "max_position_embeddings": 40, "num_labels": 3, "attn_implementation": "eager"}
BERT = {**SHAPE, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 32}
DISTIL = {**SHAPE, "dim": 24, "n_layers": 2, "n_heads": 3, "hidden_dim": 32}
MOBILE = {**BERT, "embedding_size": 8, "intra_bottleneck_size": 12, "true_hidden_size": 12}

FAMILIES = {
    "bert": transformers.BertConfig(**BERT),
    "roberta": transformers.RobertaConfig(**BERT, type_vocab_size=1),
    "roberta, typed": transformers.RobertaConfig(**BERT, type_vocab_size=2),
    "distilbert": transformers.DistilBertConfig(**DISTIL),
    "mobilebert": transformers.MobileBertConfig(**MOBILE, num_feedforward_networks=2),
    "mobilebert, one ffn, layer norm, pooler": transformers.MobileBertConfig(
        **MOBILE, num_feedforward_networks=1, normalization_type="layer_norm", classifier_activation=True
    ),
    "mobilebert, no pooler activation": transformers.MobileBertConfig(**MOBILE, classifier_activation=False),
    "mobilebert, bottleneck attention": transformers.MobileBertConfig(**MOBILE, use_bottleneck_attention=True),
    "mobilebert, separate keys": transformers.MobileBertConfig(
        **MOBILE, use_bottleneck_attention=True, key_query_shared_bottleneck=False
    ),
    "mobilebert, no bottleneck": transformers.MobileBertConfig(**BERT, embedding_size=8, use_bottleneck=False),
    "mobilebert, no trigrams": transformers.MobileBertConfig(**MOBILE, trigram_input=False),
}
FAMILIES |= {
    "albert": transformers.AlbertConfig(**BERT, embedding_size=8),
    "albert, two groups of two layers": transformers.AlbertConfig(
        **{**BERT, "num_hidden_layers": 4}, embedding_size=8, num_hidden_groups=2, inner_group_num=2
    ),
    "electra": transformers.ElectraConfig(**BERT, embedding_size=8),
    "electra, as wide": transformers.ElectraConfig(**BERT, embedding_size=24),
}
HEADS = {
    "single": transformers.AutoModelForSequenceClassification,
    "span": transformers.AutoModelForQuestionAnswering,
    "tokens": transformers.AutoModelForTokenClassification,
    "embedding": transformers.AutoModel,
}


def random_model(family: str, head: str) -> transformers.PreTrainedModel:
    """A model whose every parameter is random, so that no bias or norm hides a fault."""
    torch.manual_seed(0)
    config = FAMILIES[family].__class__(**FAMILIES[family].to_dict())
    if head == "span":
        config.num_labels = 2
    model = HEADS[head].from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    return model


def tokens(model: transformers.PreTrainedModel, lengths: tuple[int, ...], width: int) -> dict[str, torch.Tensor]:
    """Right-padded batch of random tokens; the second half of each text is of type 1 where there are types."""
    generator = torch.Generator().manual_seed(1)
    pad = model.config.pad_token_id
    ids = torch.full((len(lengths), width), pad)
    mask, types = torch.zeros_like(ids), torch.zeros_like(ids)
    for row, length in enumerate(lengths):
        ids[row, :length] = torch.randint(4, 50, (length,), generator=generator)
        mask[row, :length] = 1
        types[row, length // 2 : length] = 1
    inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    return {name: inputs[name] for name in view_of(model).input_names}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("family", FAMILIES)
def test_answers_as_the_stock_model(family, head):
    model = random_model(family, head)
    view = view_of(model)
    inputs = tokens(model, (9, 9), 9)
    with torch.no_grad():
        stock, ours = model(**inputs), view(*inputs.values())
    assert view.kind == head
    for name, answer in zip(view.output_names, ours, strict=True):
        torch.testing.assert_close(answer, stock[name], rtol=1e-5, atol=2e-5, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("family", FAMILIES)
def test_padding_cannot_change_the_answer(family, head):
    """Also where the row of the padding token is not zero, as MobileBERT's trigrams would notice."""
    model = random_model(family, head)
    view = view_of(model)
    short, long = tokens(model, (7,), 7), tokens(model, (7,), 19)
    with torch.no_grad():
        bare, padded = view(*short.values()), view(*long.values())
    for name, alone, beside in zip(view.output_names, bare, padded, strict=True):
        beside = beside if view.output_axes[name][1] != "length" else beside[:, :7]
        torch.testing.assert_close(beside, alone, rtol=1e-5, atol=2e-5)


def test_pad_token_within_roberta_text_counts_as_in_the_stock_model():
    model = random_model("roberta", "tokens")
    inputs = tokens(model, (9,), 9)
    inputs["input_ids"][0, 4] = model.config.pad_token_id
    with torch.no_grad():
        torch.testing.assert_close(view_of(model)(*inputs.values())[0], model(**inputs).logits, rtol=1e-5, atol=2e-5)


def test_shares_every_parameter():
    model = random_model("mobilebert", "single")
    own = {id(parameter) for parameter in model.parameters()}
    assert {id(parameter) for parameter in view_of(model).parameters()} <= own


def test_regression_is_told_from_its_one_output():
    config = transformers.BertConfig(**{**BERT, "num_labels": 1})
    assert view_of(transformers.AutoModelForSequenceClassification.from_config(config)).kind == "regression"


def test_unknown_family_lists_the_known():
    config = transformers.MPNetConfig(**BERT)
    known = "albert, bert, bilstm, distilbert, electra, fastbert, mobilebert, roberta"
    with pytest.raises(ExportError, match=rf"family 'mpnet'.*{known}"):
        view_of(transformers.AutoModel.from_config(config))


def test_masked_word_head_is_refused():
    with pytest.raises(ExportError, match="BertForMaskedLM cannot be exported"):
        view_of(transformers.AutoModelForMaskedLM.from_config(FAMILIES["bert"]))


def test_decoder_is_refused():
    config = transformers.BertConfig(**BERT, is_decoder=True)
    with pytest.raises(ExportError, match="is_decoder"):
        view_of(transformers.AutoModel.from_config(config))
