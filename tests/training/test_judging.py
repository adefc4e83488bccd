"""What is stored of a model is about each row alone: not about its padding, and not about its neighbours."""

import numpy as np
import pytest
import torch

from edgedistill.data.task_data import load_judged
from edgedistill.data.tasks import find_task
from edgedistill.models.answers import answer
from edgedistill.training.judging import model_logits
from tests.gate.planted import tiny_student
from tests.support import tiny_tokenizer


@pytest.fixture(scope="module")
def rows(tiny_task_dir):
    found, _ = load_judged(find_task(str(tiny_task_dir / "task.yaml")), tiny_task_dir, tiny_tokenizer(), max_length=32)
    return found


def test_rows_are_answered_as_if_alone_although_padding_changes_the_model(rows):
    model = tiny_student("mobilebert")
    with torch.no_grad():
        model.get_input_embeddings().weight[0] = 1.0
        alone = [answer(model, rows.batch(np.array([row])).student).logits[0].numpy() for row in range(len(rows))]
        together = answer(model, rows.batch(np.arange(len(rows))).student).logits.numpy()
    assert np.abs(together - alone).max() > 1e-3, "padding matters to this model"
    np.testing.assert_allclose(model_logits(model, rows, "single"), alone, atol=1e-5)
