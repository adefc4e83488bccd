"""What a student costs to run: multiply-accumulates (MACs), and the time of its export beside the teacher's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from compare import exported
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import edgedistill
from edgedistill.data.batches import Encoded
from edgedistill.models.answers import answer
from edgedistill.models.loading import load
from edgedistill.reports import STUDENT_CARD


def macs(folder: str | Path, length: int) -> int:
    """Multiply-accumulates of one text of so many tokens: every product of matrices, attention's and LSTMs' too."""
    model = load(folder).model.eval()
    ids = torch.full((1, length), 5)
    products: list[int] = []
    handles = [
        part.register_forward_hook(lambda lstm, given, _: products.append(_lstm_macs(lstm, given[0])))
        for part in model.modules()
        if isinstance(part, nn.LSTM)
    ]
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        answer(model, Encoded(ids, torch.ones_like(ids), torch.zeros_like(ids)))
    for handle in handles:
        handle.remove()
    return counter.get_total_flops() // 2 + sum(products)


def _lstm_macs(lstm: nn.LSTM, given: Any) -> int:
    """PyTorch's own counter passes LSTMs over. Packed input holds a row for every token."""
    tokens = given.data.shape[0] if isinstance(given, nn.utils.rnn.PackedSequence) else given.shape[0] * given.shape[1]
    weights = sum(value.numel() for name, value in lstm.named_parameters() if name.startswith("weight"))
    return int(tokens) * weights


def p90_ms(teacher: str, students: Sequence[Path], task: str, data: Path, length: int, out: Path) -> dict[str, float]:
    """90th percentile of the teacher (named "teacher") and the students, exported to onnx fp32, in turns, one thread.

    Returns:
        Milliseconds a text, by the folder above each student.
    """
    is_ours = Path(teacher, STUDENT_CARD).is_file()  # and says itself what it was judged on
    judged: dict[str, Any] = {} if is_ours else {"task": task, "data": data}
    folders = {"teacher": exported(teacher, out / "teacher", "onnx", "fp32", length, **judged)}
    for student in students:
        folders[student.parent.name] = exported(student, out / student.parent.name, "onnx", "fp32", length)
    bench = edgedistill.bench(
        list(folders.values()), mode="rapid", threads=(1,), lengths=(length,), reference=False, out=out / "bench.json"
    )
    found = {row.artifact: row.latency.p90_ms for row in bench.rows}
    return {name: found[folder.name] for name, folder in folders.items()}
