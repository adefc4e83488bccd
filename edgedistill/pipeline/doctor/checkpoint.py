"""Known faults of a Hugging Face checkpoint folder, read from its files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edgedistill.data.encoding import load_tokenizer
from edgedistill.errors import EdgeDistillError
from edgedistill.pipeline.doctor import weights
from edgedistill.pipeline.doctor.signs import Sign, broken, ok, warning

_WORD_EMBEDDINGS = "word_embeddings.weight"


def signs(folder: Path) -> Iterator[Sign]:
    """Look at everything that can be judged without building the model."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise ValueError("not an object")
    except ValueError as error:
        yield broken("config", f"cannot read config.json: {error}.")
        return
    yield ok("config", f"{config.get('model_type', 'unknown family')}, {config.get('num_hidden_layers', '?')} layers")
    yield from _weights(folder, config)
    yield _tokenizer(folder, config)
    yield from _labels(config)


def _weights(folder: Path, config: dict[str, Any]) -> Iterator[Sign]:
    paths = sorted(folder.glob("*.safetensors"))
    if not paths:
        pickles = sorted(path.name for suffix in ("*.bin", "*.pt", "*.pth") for path in folder.glob(suffix))
        if pickles:
            yield broken(
                "pickle_only",
                f"only pickled weights ({', '.join(pickles)}), which can run any code when read. Where you trust "
                "them, load them with transformers and save_pretrained() them as safetensors.",
            )
        else:
            yield broken("weights", "no .safetensors file.")
        return
    for path in paths:
        try:
            tensors = weights.read(path)
        except EdgeDistillError as error:
            yield broken("corrupt_weights", str(error))
            continue
        bad = [name for name, tensor in tensors.items() if not weights.is_finite(tensor)]
        if bad:
            yield broken("nan_weights", f"'{path.name}': NaN or infinity in {', '.join(bad[:3])}. Train it again.")
        else:
            count = sum(tensor.values.size for tensor in tensors.values())
            yield ok("weights", f"'{path.name}': {count / 1e6:.2f} M numbers, all finite")
        yield from _padding_row(config, tensors)


def _padding_row(config: dict[str, Any], tensors: dict[str, weights.Stored]) -> Iterator[Sign]:
    if config.get("model_type") != "mobilebert":
        return
    row = int(config.get("pad_token_id") or 0)
    for name, tensor in tensors.items():
        if name.endswith(_WORD_EMBEDDINGS) and row < len(tensor.values) and np.any(tensor.values[row] != 0):
            yield warning(
                "padding_row",
                f"row {row} of '{name}' is not zero: MobileBERT reads the next position, so padding changes the last "
                "word's answer. edgedistill's export zeroes it; other tools do not.",
            )


def _tokenizer(folder: Path, config: dict[str, Any]) -> Sign:
    try:
        size = load_tokenizer(folder).get_vocab_size()
    except EdgeDistillError as error:
        return broken("tokenizer", str(error))
    wanted = config.get("vocab_size")
    if isinstance(wanted, int) and size > wanted:
        return broken("tokenizer", f"{size} entries, but the model has embeddings for {wanted}: not its tokenizer.")
    return ok("tokenizer", f"{size} entries")


def _labels(config: dict[str, Any]) -> Iterator[Sign]:
    names = config.get("id2label")
    if isinstance(names, dict) and names and all(str(name).startswith("LABEL_") for name in names.values()):
        yield warning("labels", f"called {', '.join(map(str, list(names.values())[:3]))}: give id2label real names.")
