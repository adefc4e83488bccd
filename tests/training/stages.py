"""A small stage for tests of the loop, and how to cut and compare what it does."""

import json

import torch

from edgedistill.data.batches import Batch
from edgedistill.losses.labels import label_loss
from edgedistill.models.answers import answer
from edgedistill.training.stage import OptimConfig, Stage, valid_tokens
from tests.support import TinyRows, tiny_model

OPTIM = OptimConfig(lr=1e-3, max_steps=8, batch_size=8, mixed_precision="no")
BY_TOKENS = OptimConfig(lr=1e-3, epochs=2.0, batch_tokens=64, mixed_precision="no")


def stage(optim=OPTIM, rows=None, scaffold=None, evaluate=None, dropout=0.1, hook=None):
    model = tiny_model(dropout=dropout)

    def step(batch: Batch):
        if hook:
            hook(batch)
        logits = answer(model, batch.student).logits
        if scaffold is not None:
            logits = scaffold(logits)
        # A mean over rows and one over tokens: they count differently where a step is cut into parts.
        words = model.get_input_embeddings()(batch.student.input_ids)[batch.student.attention_mask.bool()]
        return {"labels": label_loss("single", logits, batch.labels), "words": words.pow(2).mean()}

    return Stage("train", model, rows or TinyRows(32), step, optim, {"words": valid_tokens}, scaffold, evaluate)


def lines(slot):
    return [json.loads(text) for text in (slot / "log.jsonl").read_text().splitlines()]


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


class Stop(Exception):
    """Stands for a power cut: nothing is saved when it happens."""


def stop_at(step):
    def hook(batch):
        hook.count += 1
        if hook.count > step:
            raise Stop

    hook.count = 0
    return hook
