"""Small real things to test with: a tokenizer, models and task folders, each made in milliseconds.

Nothing is downloaded and nothing is random between two runs: every builder has a seed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForPreTraining,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertTokenizer,
    PreTrainedModel,
)

from edgedistill.data.batches import Batch, Encoded
from edgedistill.data.order import Size, Tokens, in_random_order

LABELS = ("negative", "positive")
SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
GOOD = ("great", "lovely", "superb", "warm", "clever", "funny", "moving", "bright")
BAD = ("dull", "awful", "clumsy", "cold", "boring", "messy", "tired", "grim")
NOUNS = ("film", "story", "plot", "cast", "scene", "music", "ending", "script")
FILLERS = ("the", "a", "was", "is", "and", "but", "very", "quite", "this", "that", "who", "what", "where", "it", "in")
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
PIECES = ("##s", "##ed", "##ing", "##ly", "##er")
MARKS = tuple(".,!?'-:;()")

HEADS = {
    "sequence": AutoModelForSequenceClassification,
    "span": AutoModelForQuestionAnswering,
    "tokens": AutoModelForTokenClassification,
    "mlm": AutoModelForMaskedLM,
    "pretraining": AutoModelForPreTraining,
    "bare": AutoModel,
}


def vocabulary() -> list[str]:
    """The tiny vocabulary: special tokens, words, every letter alone and as a continuation, some endings."""
    words = (*GOOD, *BAD, *NOUNS, *FILLERS)
    continued = tuple(f"##{letter}" for letter in LETTERS)
    return list(dict.fromkeys((*SPECIALS, *words, *LETTERS, *continued, *PIECES, *MARKS)))


def tiny_tokenizer(words: list[str] | None = None) -> BertTokenizer:
    """An uncased WordPiece tokenizer over `words` (the tiny vocabulary unless given)."""
    ids = {word: number for number, word in enumerate(words or vocabulary())}
    return BertTokenizer(vocab=ids, model_max_length=128)


def tiny_model(
    family: str = "bert",
    head: str = "sequence",
    *,
    labels: tuple[str, ...] = LABELS,
    layers: int = 4,
    hidden: int = 16,
    heads: int = 2,
    vocab_size: int | None = None,
    dropout: float = 0.0,
    seed: int = 0,
) -> PreTrainedModel:
    """A model of any family and head with random weights, large enough for answers to differ between texts.

    Args:
        family: transformers' model type: albert, bert, distilbert, electra, mobilebert or roberta.
        head: sequence, span, tokens, mlm, pretraining or bare.
        labels: class names; one name makes a regression head of it.
        layers, hidden, heads, vocab_size: its shape; the tiny vocabulary's size unless given.
        dropout: in the embeddings, the layers and the attention.
        seed: of the weights.
    """
    values: dict[str, Any] = {
        "vocab_size": vocab_size or len(vocabulary()),
        "max_position_embeddings": 128,
        "initializer_range": 0.5,
        "pad_token_id": 0,
    }
    if head in {"sequence", "tokens"}:
        values["id2label"] = dict(enumerate(labels))
        values["label2id"] = {name: number for number, name in enumerate(labels)}
    if family == "distilbert":
        values |= {"dim": hidden, "n_layers": layers, "n_heads": heads, "hidden_dim": 2 * hidden}
        values |= {
            "dropout": dropout,
            "attention_dropout": dropout,
            "seq_classif_dropout": dropout,
            "qa_dropout": dropout,
        }
    else:
        values |= {"hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads}
        values |= {"intermediate_size": 2 * hidden, "hidden_dropout_prob": dropout}
        values |= {"attention_probs_dropout_prob": dropout}
    if family == "mobilebert":
        values |= {"embedding_size": 8, "intra_bottleneck_size": hidden // 2, "num_feedforward_networks": 2}
    if family in {"albert", "electra"}:
        values |= {"embedding_size": 8}
    if family == "roberta":
        values |= {"pad_token_id": 1, "type_vocab_size": 1, "max_position_embeddings": 130}
    config = AutoConfig.for_model(family, **values)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = HEADS[head].from_config(config, attn_implementation="eager")
    return model.eval()


def save_checkpoint(folder: Path, model: PreTrainedModel, tokenizer: BertTokenizer | None = None) -> Path:
    """Write a model and its tokenizer as a Hugging Face folder."""
    model.save_pretrained(folder)
    (tokenizer or tiny_tokenizer()).save_pretrained(folder)
    return folder


def sentences(count: int, seed: int = 0) -> list[tuple[str, int]]:
    """Short reviews with their class (1 positive): the adjective decides, everything else is noise."""
    choose = random.Random(seed)
    rows = []
    for number in range(count):
        label = number % 2
        adjective = choose.choice(GOOD if label else BAD)
        text = f"{choose.choice(('the', 'this', 'that'))} {choose.choice(NOUNS)} {choose.choice(('is', 'was'))}"
        text += f" {choose.choice(('', 'very ', 'quite '))}{adjective}"
        if choose.random() < 0.5:
            text += f" and the {choose.choice(NOUNS)} {choose.choice(('too', 'is it', 'in it'))} ."
        rows.append((text, label))
    return rows


class TinyRows:
    """Labelled sentences as batches, tokenised beforehand: what a stage needs, without a data set."""

    def __init__(self, count: int = 32, seed: int = 0, has_labels: bool = True) -> None:
        found = sentences(count, seed)
        tokens = tiny_tokenizer()([text for text, _ in found], return_tensors="pt", padding=True)
        self._tokens = Encoded(tokens["input_ids"], tokens["attention_mask"], tokens["token_type_ids"])
        self._labels = torch.tensor([label for _, label in found]) if has_labels else None

    def __len__(self) -> int:
        return len(self._tokens.input_ids)

    def epoch(self, seed: int, epoch: int, batch_size: Size) -> Iterator[Batch]:
        """Batches in the order that (seed, epoch) gives."""
        for rows in self.order(seed, epoch, batch_size):
            yield self.batch(rows)

    def order(self, seed: int, epoch: int, batch_size: Size) -> list[torch.Tensor]:
        """The rows of each of those batches."""
        if isinstance(batch_size, Tokens):
            lengths = self._tokens.attention_mask.sum(dim=1).numpy()
            return [torch.from_numpy(rows) for rows in in_random_order(lengths, seed, epoch, batch_size)]
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(1000 * seed + epoch))
        return list(order.split(batch_size))

    def all(self, batch_size: int) -> Iterator[Batch]:
        """Batches in the rows' own order."""
        for rows in torch.arange(len(self)).split(batch_size):
            yield self.batch(rows)

    def batch(self, rows: torch.Tensor) -> Batch:
        """Those rows."""
        tokens = Encoded(*(tensor[rows] for tensor in vars(self._tokens).values()))
        ids = tuple(f"train-{row}" for row in rows.tolist())
        return Batch(ids, tokens, tokens, None if self._labels is None else self._labels[rows])


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write one JSON object a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def write_task(folder: Path, train: int = 64, judged: int = 32) -> Path:
    """Write a two-class task: train, validation and test .jsonl with `sentence` and `label`, and task.yaml.

    The columns are SST-2's, so that the folder serves as `--data` of the task `sst2` as well as of task.yaml.
    """
    sizes = {"train": train, "validation": judged, "test": judged}
    for seed, (split, size) in enumerate(sizes.items()):
        rows = [{"sentence": text, "label": label} for text, label in sentences(size, seed)]
        write_jsonl(folder / f"{split}.jsonl", rows)
    (folder / "task.yaml").write_text(
        "name: tiny\nkind: single\ntext: [sentence]\nlabel: label\nlabels: [negative, positive]\nmetric: accuracy\n",
        encoding="utf-8",
    )
    return folder
