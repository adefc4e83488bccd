"""The students that `recipes.py` compares: what each starts from, and what it is given beside the task.

A recipe's own row gets all that the paper gives it, such as raw text. The rows beside it have its student's shape and
start as it does, where that is before the teacher learnt the task: from a pre-trained encoder, or from random weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import compare
import torch

from edgedistill.data.tasks import find_task
from edgedistill.models.distilbert import distilbert_for
from edgedistill.models.layers import spread_layers
from edgedistill.models.loading import Checkpoint, load
from edgedistill.models.tinybert import Shape, tinybert_for


def trained(
    options: Any, recipe: str, variant: str, settings: dict[str, Any], general: dict[str, Any] | None, name: str
) -> list[Path]:
    """One student for each seed.

    Args:
        options: of the command.
        recipe: its name.
        variant: labels, answers or recipe: what it starts from, and is given.
        settings: of the variant.
        general: of DistilBERT's training on raw text.
        name: what its folder is called.
    """
    folders = []
    for seed in range(options.seeds):
        by, own, given = recipe, {**settings, "seed": seed}, {"teacher": options.teacher}
        match recipe, variant:
            case "fastbert", _:
                given = {"student": options.teacher}
            case "pkd", _:
                given["student"] = options.pretrained
            case "distilbert", "recipe":
                given["student"] = _general_distilbert(options, own["num_layers"], general or {})
            case "distilbert", _:
                given["student"] = _cut(options, own["num_layers"])
            case "tinybert", "labels":  # the recipe has no loss of labels
                given = {"student": _untrained_tinybert(options, own["num_layers"], seed)}
                by, own = "finetune", {"optim": own["prediction_optim"], "max_length": own["max_length"], "seed": seed}
            case "tinybert", "recipe":
                given["corpus"] = options.corpus
                own |= {"general_teacher": options.pretrained, "augment_with": options.words}
            case "bilstm", "recipe":
                own["conllu"] = str(options.conllu)
        out = options.out / f"{recipe}-{name}-{seed}"
        folders.append(
            compare.trained(by, out, own, task=options.task, data=options.data, limit=options.limit, **given)
        )
    return folders


def _general_distilbert(options: Any, layers: int, general: dict[str, Any]) -> Path:
    """DistilBERT's first distillation, on raw text: one student for all tasks."""
    out = options.out.parent / "distilbert-general"
    own = {"num_layers": layers, **general}
    return compare.trained("distilbert", out, own, teacher=options.words, corpus=options.corpus)


def _cut(options: Any, layers: int) -> Path:
    """What that student is before any step: every second layer of the encoder."""
    source = load(options.words)
    kept = spread_layers(source.model.config.num_hidden_layers, layers, ())
    return _saved(distilbert_for(source.model, "mlm", kept), source, options.out.parent / "distilbert-cut")


def _untrained_tinybert(options: Any, layers: int, seed: int) -> Path:
    """A student of the recipe's shape with random weights, as a checkpoint to fine-tune."""
    kind, teacher = find_task(options.task).kind, load(options.teacher)
    torch.manual_seed(seed)
    student = tinybert_for(teacher.model, kind, Shape(layers))
    return _saved(student, teacher, options.out / f"tinybert-untrained-{seed}")


def _saved(model: Any, source: Checkpoint, folder: Path) -> Path:
    model.save_pretrained(folder)
    source.tokenizer.save_pretrained(folder)
    return folder
