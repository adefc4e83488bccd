"""The host loop of writing: the words and their probabilities are those of transformers' generate."""

import numpy as np
import pytest
import torch

from edgedistill.artifacts import Graph, Tensor
from edgedistill.data.encoding import encode
from edgedistill.drivers.seq2seq import Writer, best
from edgedistill.errors import DataError, ExportError
from edgedistill.models.seq2seq import Decoding, Shape, set_decoding, transformer
from edgedistill.models.views import cut_view_of
from tests.support import sentences, tiny_tokenizer, vocabulary

SHAPE = Shape(layers=2, hidden_size=16, ffn_size=32, heads=2, dropout=0.0)
BEGIN, END, PAD, LONGEST = 2, 3, 0, 12
TEXTS = [text for text, _ in sentences(8)]


def lively(seed=3, end=0.0, **decoding):
    """A Marian model that writes something else for every source, and ends now before, now at the longest length."""
    torch.manual_seed(seed)
    model = transformer(SHAPE, tiny_tokenizer(), len(vocabulary())).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1 and parameter.requires_grad:
                parameter.mul_(12)
        model.final_logits_bias[:, END] = end
    set_decoding(model, Decoding(**{"beams": 1, "length_penalty": 1.0} | decoding), LONGEST, [PAD, BEGIN, 4])
    return model


def writer_of(model, asks_all=False, **changes):
    """The loop with PyTorch for a runtime."""
    view = cut_view_of(model)
    driver = view.driver([("encoder",), ("decoder",)], is_fixed=False).model_copy(update={"asks_all": asks_all})

    def opened(piece):
        def call(inputs):
            given = [torch.as_tensor(np.asarray(inputs[name])) for name in piece.input_names]
            with torch.no_grad():
                return {n: v.numpy() for n, v in zip(piece.output_names, piece(*given), strict=True)}

        return call

    encoder, decoder = view.pieces
    example = decoder.example_inputs(1, 5)
    tensors = tuple(Tensor(name=n, dtype="float32", shape=tuple(v.shape)) for n, v in example.items())
    step = Graph(name="decoder", file="", inputs=tensors, outputs=(), state=decoder.state)
    return Writer(**{"driver": driver, "encoder": opened(encoder), "decoder": opened(decoder), "step": step,
                     "longest": 32} | changes)  # fmt: skip


def source(text):
    (found,) = encode(tiny_tokenizer().backend_tokenizer, [text])
    ids = np.array([found.input_ids])
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


def generated(model, given, **how):
    tensors = {name: torch.from_numpy(value) for name, value in given.items()}
    return model.generate(**tensors, return_dict_in_generate=True, **how)


def cut(row):
    words = row.astype(int).tolist()
    return words[: words.index(END) + 1] if END in words else words


def test_greedy_words_and_probabilities_are_those_of_generate():
    lengths = set()
    for end in (-3.0, 3.0, 4.0, 5.0):
        model = lively(end=end)
        write = writer_of(model, asks_all=True)
        for text in TEXTS[:4]:
            given = source(text)
            ours, theirs = write(given), generated(model, given, output_logits=True)
            words = theirs.sequences[0, 1:].tolist()
            assert cut(ours["tokens"][0]) == cut(ours["greedy"][0]) == words
            logs = torch.stack(theirs.logits)[:, 0].log_softmax(-1)[range(len(words)), words]
            np.testing.assert_allclose(ours["log_probabilities"][0, : len(words)], logs, atol=2e-5)
            lengths.add(len(words))
    assert len(lengths) > 1, "some texts end early, some at the longest length"


@pytest.mark.parametrize("end", [-3.0, 3.0, 5.0])
@pytest.mark.parametrize(("beams", "penalty"), [(2, 1.0), (5, 0.6), (4, 0.0), (3, 2.0)])
def test_beams_write_what_generate_writes(beams, penalty, end):
    model = lively(end=end, beams=beams, length_penalty=penalty)
    write = writer_of(model)
    for text in TEXTS[:5]:
        given = source(text)
        words = generated(model, given).sequences[0, 1:].numpy()
        assert cut(write(given)["tokens"][0]) == cut(words)


def test_padding_changes_nothing_and_a_batch_is_its_rows():
    write = writer_of(lively(end=2.0), asks_all=True)
    alone = write(source(TEXTS[0]))
    longer = {name: np.pad(value, ((0, 0), (0, 6))) for name, value in source(TEXTS[0]).items()}
    both = {name: np.concatenate([value, value]) for name, value in longer.items()}
    for name, value in write(both).items():
        np.testing.assert_allclose(value[1], alone[name][0], atol=1e-5)


def test_a_cache_one_place_off_writes_something_else():
    """What the gate's rung is there to see; the first word needs no cache and stays right."""
    model = lively(end=-3.0)
    good = writer_of(model, asks_all=True)

    def shifted(inputs):
        moved = {n: np.roll(v, 1, axis=2) if n in ("keys", "values") else v for n, v in inputs.items()}
        return good.decoder(moved)

    bad = writer_of(model, asks_all=True, decoder=shifted)
    given = source(TEXTS[0])
    right, wrong = good(given)["log_probabilities"][0], bad(given)["log_probabilities"][0]
    assert right[0] == pytest.approx(wrong[0])
    assert np.abs(right - wrong).max() > 0.01


def test_too_long_a_source_is_refused():
    write = writer_of(lively(), fixed=4)
    with pytest.raises(DataError, match="the model takes 4"):
        write(source(TEXTS[0]))


def test_settings_the_loop_does_not_follow_are_refused():
    model = lively()
    model.generation_config.no_repeat_ngram_size = 2
    with pytest.raises(ExportError, match="no_repeat_ngram_size=2"):
        cut_view_of(model)


@pytest.mark.parametrize("count", [1, 4, 50, 99])
def test_the_best_places_are_those_of_a_whole_sort_equal_scores_and_forbidden_words_too(count):
    scores = np.random.default_rng(5).integers(0, 6, 50).astype(np.float64)
    scores[::7] = -np.inf
    assert best(scores, count) == list(np.argsort(-scores, kind="stable"))[:count]
