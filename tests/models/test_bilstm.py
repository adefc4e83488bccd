"""The BiLSTM: the paper's sizes, an answer about a text alone, and the same from disk and from its export view."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from edgedistill.models.bilstm import (
    BiLstmConfig,
    BiLstmForSequenceClassification,
    bilstm_for,
    joined,
    narrowed,
    parameters_without_words,
    sides,
)
from edgedistill.models.loading import load
from edgedistill.models.views import view_of
from tests.support import save_checkpoint, tiny_tokenizer, vocabulary

COUNTS = [
    ({"channels": "both", "lstm_size": 150, "fc_size": 200, "num_labels": 2}, 963_002),
    ({"channels": "tuned", "lstm_size": 150, "fc_size": 200, "num_labels": 2}, 603_002),
    ({"channels": "both", "lstm_size": 300, "fc_size": 200, "num_labels": 2, "is_siamese": True}, 2_645_402),
    ({"channels": "both", "lstm_size": 150, "fc_size": 200, "num_labels": 3, "is_siamese": True}, 1_143_203),
]


@pytest.mark.parametrize(("shape", "count"), COUNTS)
def test_parameters_are_the_papers(shape, count):
    model = BiLstmForSequenceClassification(BiLstmConfig(vocab_size=7, embedding_size=300, **shape))
    assert parameters_without_words(model) == count
    tables = model.config.num_channels * 7 * 300
    assert model.num_parameters() == count + tables


def model_of(is_siamese=False, channels="both", pad_token_id=0):
    torch.manual_seed(0)
    shape = BiLstmConfig(
        vocab_size=len(vocabulary()), embedding_size=6, channels=channels, lstm_size=5, fc_size=7,
        is_siamese=is_siamese, pad_token_id=pad_token_id,
    )  # fmt: skip
    model = bilstm_for(shape, None).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.5)
    return model


def inputs(lengths=(9, 4, 1), width=9, pad=0, second=True):
    """Right-padded random tokens, the last half of each text of type 1; what lies under the mask is noise."""
    random = torch.Generator().manual_seed(1)
    ids = torch.randint(4, 60, (len(lengths), 9), generator=random)
    ids = torch.nn.functional.pad(ids, (0, max(0, width - 9)), value=7)[:, :width]
    mask, types = torch.zeros_like(ids), torch.zeros_like(ids)
    for row, length in enumerate(lengths):
        mask[row, :length] = 1
        types[row, length // 2 : length] = int(second)
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}


@pytest.mark.parametrize("pad", [0, 3])
@pytest.mark.parametrize("is_siamese", [False, True])
def test_padding_never_changes_an_answer(is_siamese, pad):
    model = model_of(is_siamese, pad_token_id=pad).double()
    with torch.no_grad():
        short, long = model(**inputs((4, 3), 4)).logits, model(**inputs((4, 3), 30)).logits
        one = model(**{name: value[1:, :3] for name, value in inputs((4, 3), 4).items()}).logits
    torch.testing.assert_close(long, short, rtol=0, atol=1e-12)
    torch.testing.assert_close(one, short[1:], rtol=0, atol=1e-12)


@pytest.mark.parametrize("is_siamese", [False, True])
def test_an_empty_text_is_one_token_of_padding(is_siamese):
    model = model_of(is_siamese).double()
    with torch.no_grad():
        empty = model(**inputs((0, 2), 5)).logits
        wider = model(**inputs((0, 2), 9)).logits
    torch.testing.assert_close(wider, empty, rtol=0, atol=1e-12)
    assert empty.isfinite().all()


def test_siamese_reads_each_text_apart_and_swapping_matters():
    model = model_of(is_siamese=True)
    first, second = sides(model.config, **inputs((9,), 9))
    ids = inputs((9,), 9)["input_ids"][0]
    assert first.input_ids[0, :4].tolist() == ids[:4].tolist()
    assert second.input_ids[0, :5].tolist() == ids[4:].tolist()
    assert (first.lengths.item(), second.lengths.item()) == (4, 5)
    u, v = model.bilstm(first), model.bilstm(second)
    assert model.fc.in_features == 4 * u.shape[1]
    swapped = {name: torch.cat((value[:, 4:], value[:, :4]), dim=1) for name, value in inputs((9,), 9).items()}
    swapped["token_type_ids"] = torch.tensor([[0] * 5 + [1] * 4])
    other_first, other_second = sides(model.config, **swapped)
    torch.testing.assert_close(model.bilstm(other_first), v)
    torch.testing.assert_close(model.bilstm(other_second), u)
    assert not torch.allclose(model(**swapped).logits, model(**inputs((9,), 9)).logits)


def test_only_product_and_distance_are_the_same_when_the_texts_change_places():
    u, v = torch.tensor([[1.0, -2.0]]), torch.tensor([[3.0, 0.5]])
    assert joined([u, v]).tolist() == [[1.0, -2.0, 3.0, 0.5, 3.0, -1.0, 2.0, 2.5]]
    one, other = joined([u, v]).view(4, 2), joined([v, u]).view(4, 2)
    assert [torch.equal(*parts) for parts in zip(one, other, strict=True)] == [False, False, True, True]
    assert joined([u]) is u


def test_the_last_states_are_those_of_a_loop_by_hand():
    model = model_of(channels="tuned").double()
    batch = inputs((4,), 9)
    vectors = model.bilstm.embeddings(batch["input_ids"][0, :4])
    lstm, states = model.bilstm.lstm, []
    for end, order in (("", range(4)), ("_reverse", range(3, -1, -1))):
        h = c = torch.zeros(5, dtype=torch.float64)
        for place in order:
            gates = getattr(lstm, f"weight_ih_l0{end}") @ vectors[place] + getattr(lstm, f"bias_ih_l0{end}")
            gates = gates + getattr(lstm, f"weight_hh_l0{end}") @ h + getattr(lstm, f"bias_hh_l0{end}")
            i, f, g, o = gates.chunk(4)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
        states.append(h)
    logits = model.classifier(torch.relu(model.fc(torch.cat(states))))
    torch.testing.assert_close(model(**batch).logits[0], logits, rtol=0, atol=1e-12)


@pytest.mark.parametrize("channels", ["both", "tuned", "static"])
def test_channels_start_alike_and_only_the_tuned_learns(channels):
    table = torch.randn(len(vocabulary()), 6)
    model = bilstm_for(BiLstmConfig(len(table), 6, channels, 5, 7), table)
    tables = {name.split(".")[-2]: p for name, p in model.named_parameters() if "embeddings" in name}
    assert set(tables) == ({"static", "tuned"} if channels == "both" else {channels})
    for name, parameter in tables.items():
        torch.testing.assert_close(parameter[1:], table[1:])
        assert not parameter[0].any()
        assert parameter.requires_grad is (name == "tuned")


@pytest.mark.parametrize("is_siamese", [False, True])
@pytest.mark.parametrize("channels", ["both", "tuned"])
def test_from_disk_it_answers_the_same(tmp_path, is_siamese, channels):
    model = model_of(is_siamese, channels)
    save_checkpoint(tmp_path, model, tiny_tokenizer())
    assert not list(tmp_path.glob("*.bin"))
    for again in (load(tmp_path).model, AutoModelForSequenceClassification.from_pretrained(tmp_path)):
        assert isinstance(again, BiLstmForSequenceClassification)
        torch.testing.assert_close(again.eval()(**inputs()).logits, model(**inputs()).logits, rtol=0, atol=1e-6)


def test_a_new_head_is_put_on_where_labels_are_others(tmp_path):
    save_checkpoint(tmp_path, model_of(), tiny_tokenizer())
    found = load(tmp_path, kind="single", labels=("a", "b", "c"))
    assert found.is_head_new
    assert found.model(**inputs()).logits.shape == (3, 3)
    assert torch.equal(found.model.bilstm.lstm.weight_hh_l0, model_of().bilstm.lstm.weight_hh_l0)


@pytest.mark.parametrize("is_siamese", [False, True])
def test_the_view_step_by_step_answers_as_the_model(is_siamese):
    model = model_of(is_siamese)
    view, given = view_of(model), inputs((9, 4, 1, 0), 9)
    assert view.max_unrolled == 64
    with torch.no_grad():
        (ours,) = view(*(given[name] for name in view.input_names))
        torch.testing.assert_close(ours, model(**given).logits, rtol=1e-5, atol=1e-6)


def test_narrowed_keeps_what_a_table_is_spread_along():
    random = torch.Generator().manual_seed(0)
    flat = torch.randn(50, 2, generator=random) @ torch.randn(2, 8, generator=random)
    assert narrowed(flat, 8) is flat
    torch.testing.assert_close(narrowed(flat, 2) @ narrowed(flat, 2).T, flat @ flat.T, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("is_siamese", [False, True])
@pytest.mark.slow
def test_onnx_is_one_lstm_operator_for_each_text_at_any_length(is_siamese):
    onnxruntime = pytest.importorskip("onnxruntime")
    from edgedistill.quant.onnx_weights import apply_scheme
    from edgedistill.targets.onnx.convert import _float_model

    model = model_of(is_siamese)
    view = view_of(model)
    graph = _float_model(view, 18)
    kinds = [node.op_type for node in graph.graph.node]
    assert kinds.count("LSTM") == (2 if is_siamese else 1)
    assert not {"Loop", "Scan"} & set(kinds)
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    for lengths, width in (((9, 4, 1, 0), 9), ((4,), 4), ((9, 3), 40)):
        given = inputs(lengths, width)
        (found,) = session.run(None, {name: given[name].numpy() for name in view.input_names})
        np.testing.assert_allclose(found, model(**given).logits.detach().numpy(), rtol=1e-5, atol=1e-5)
    kept = apply_scheme(graph, "int8_weight").kept_float
    assert any("recurrent" in reason for reason in kept.values())


@pytest.mark.slow
@pytest.mark.parametrize("is_siamese", [False, True])
def test_litert_gets_the_steps_of_short_texts(tmp_path, is_siamese):
    pytest.importorskip("litert_torch")
    from edgedistill.targets import tflite
    from edgedistill.targets.tflite.runtime import interpreter

    model = model_of(is_siamese)
    view = view_of(model)
    exported = tflite.export(view, tflite.Config(target="tflite", max_length=9, lengths=(9,)), tmp_path)
    given = inputs((4,), 9)
    runner = interpreter(exported.model_files[0], threads=1).get_signature_runner("length_9")
    found = runner(**{name: given[name].numpy().astype(np.int32) for name in view.input_names})["logits"]
    np.testing.assert_allclose(found, model(**given).logits.detach().numpy(), rtol=1e-4, atol=1e-4)


def test_litert_refuses_long_texts_and_says_what_to_use(tmp_path):
    pytest.importorskip("litert_torch")
    from edgedistill.errors import ExportError
    from edgedistill.targets import tflite

    with pytest.raises(ExportError, match=r"up to 64 tokens; max_length is 65\. Use --target onnx.*max_length=64"):
        tflite.export(view_of(model_of()), tflite.Config(target="tflite", max_length=65), tmp_path)
