import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from edgedistill.data.batches import Encoded
from edgedistill.data.tasks import IGNORED
from edgedistill.errors import CheckpointError, ExportError
from edgedistill.models.loading import load, save
from edgedistill.models.seq2seq import (
    Decoding,
    Shape,
    next_words,
    set_decoding,
    transformer,
    without_token_types,
    write,
)
from edgedistill.models.views import view_of
from tests.support import tiny_tokenizer, vocabulary

SHAPE = Shape(layers=2, hidden_size=16, ffn_size=32, heads=2, dropout=0.0)
BEGIN, END, PAD = 2, 3, 0


@pytest.fixture
def model():
    """Random weights so large that what is written depends on what is read."""
    torch.manual_seed(3)
    found = transformer(SHAPE, tiny_tokenizer(), len(vocabulary())).eval()
    with torch.no_grad():
        for parameter in found.parameters():
            if parameter.dim() > 1 and parameter.requires_grad:
                parameter.mul_(12)
    set_decoding(found, Decoding(beams=1, length_penalty=1.0), 12, [PAD, BEGIN, 4])
    return found


def texts(*sources):
    found = tiny_tokenizer()(list(sources), return_tensors="pt", padding=True)
    return Encoded(found["input_ids"], found["attention_mask"], found["token_type_ids"])


def test_one_table_is_shared_by_source_target_and_output(model):
    table = model.get_input_embeddings().weight
    assert model.lm_head.weight is table
    assert model.model.encoder.embed_tokens.weight is model.model.decoder.embed_tokens.weight is table
    assert table.shape == (len(vocabulary()), 16)


@pytest.mark.slow
def test_the_papers_shape_has_as_many_parameters_as_the_transformer_base_of_its_vocabulary():
    # Encoder 6 * 3,152,384, decoder 6 * 4,204,032, over a table of 512 a word: Vaswani et al.'s base, tied.
    built = transformer(Shape(), tiny_tokenizer(), len(vocabulary()))
    learnt = sum(parameter.numel() for parameter in built.parameters() if parameter.requires_grad)
    assert learnt == 6 * 3_152_384 + 6 * 4_204_032 + 512 * len(vocabulary())


def test_a_word_is_told_from_the_source_and_the_words_before_it(model):
    source, target = texts("the film is great"), torch.tensor([[10, 11, 12, END]])
    logits = next_words(model, source, target)
    assert logits.shape == (4, len(vocabulary()))
    changed = target.clone()
    changed[0, 2] = 20
    other = next_words(model, source, changed)
    assert torch.equal(logits[:3], other[:3])
    assert not torch.allclose(logits[3], other[3])
    assert not torch.allclose(logits[0], next_words(model, texts("the plot was dull"), target)[0])


def test_padding_changes_nothing(model):
    source = texts("the film is great", "a dull plot and music")
    target = torch.tensor([[10, 11, END, IGNORED, IGNORED], [12, 13, 14, 15, END]])
    alone = texts("the film is great")
    together = next_words(model, source, target)
    assert len(together) == 3 + 5
    assert torch.allclose(together[:3], next_words(model, alone, target[:1, :3]), atol=1e-4)


def test_greedy_writing_takes_the_likeliest_word_until_the_end(model):
    source = texts("the film is great")
    (written,) = write(model, source, beams=1)
    assert written[0] == BEGIN
    so_far: list[int] = []
    while len(so_far) < 12 and END not in so_far:
        logits = next_words(model, source, torch.tensor([[*so_far, 9]]))[-1]
        logits[[PAD, BEGIN, 4]] = float("-inf")
        so_far.append(int(logits.argmax()))
    assert written[1:] == so_far


@pytest.mark.parametrize("beams", [1, 2, 5])
def test_every_number_of_beams_is_saved(model, tmp_path, beams):
    """transformers refuses to write what it deems of no use, and the student is written when all training is done."""
    set_decoding(model, Decoding(beams=beams), 12, [PAD, BEGIN, 4])
    model.save_pretrained(tmp_path)
    assert type(model).from_pretrained(tmp_path).generation_config.num_beams == beams


def test_beams_find_a_text_at_least_as_likely(model):
    source = texts("the film is great", "music")
    set_decoding(model, Decoding(beams=6, length_penalty=0.0), 12, [PAD, BEGIN, 4])

    def likelihood(rows):
        found = []
        for number, row in enumerate(rows):
            words = row[1 : row.index(END) + 1 if END in row else None]
            one = Encoded(*(part[number : number + 1] for part in vars(source).values()))
            logits = next_words(model, one, torch.tensor([words]))
            logits[:, [PAD, BEGIN, 4]] = float("-inf")
            found.append(logits.log_softmax(-1)[torch.arange(len(words)), words].sum().item())
        return found

    wide, greedy = likelihood(write(model, source)), likelihood(write(model, source, beams=1))
    assert all(a >= b - 1e-4 for a, b in zip(wide, greedy, strict=True))
    assert wide != greedy


def test_what_is_saved_is_transformers_own_class(model, tmp_path):
    set_decoding(model, Decoding(beams=3), 12, [PAD, BEGIN, 4])
    tokenizer = tiny_tokenizer()
    with without_token_types(tokenizer, model):
        save(tmp_path, model, tokenizer)
    assert "token_type_ids" in tokenizer("film")
    again, reader = AutoModelForSeq2SeqLM.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    assert type(again).__name__ == "MarianMTModel"
    assert (again.generation_config.num_beams, again.generation_config.max_length) == (3, 13)
    written = again.eval().generate(**reader(["the film is great", "music"], return_tensors="pt", padding=True))
    source = texts("the film is great", "music")
    assert written.tolist() == write(model, source)
    found = load(tmp_path)
    assert (found.kind, found.is_head_new, found.labels) == ("generation", False, ())
    assert all(torch.equal(value, found.model.state_dict()[name]) for name, value in model.state_dict().items())
    with pytest.raises(ExportError, match="an encoder-decoder \\('marian'\\), which writes word by word"):
        view_of(found.model)


def test_what_cannot_work_is_refused():
    with pytest.raises(ValueError, match="no even multiple of 3 heads"):
        Shape(hidden_size=16, heads=3)
    tokenizer = tiny_tokenizer()
    tokenizer.cls_token = None
    with pytest.raises(CheckpointError, match="lacks one of"):
        transformer(SHAPE, tokenizer, len(vocabulary()))
