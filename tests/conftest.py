"""What every test has: a fixed seed, one thread, no network, and a tiny teacher and task."""

from __future__ import annotations

import os
import signal

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from pathlib import Path

import pytest

# A shell that starts the tests in its background has them ignore Ctrl-C, and so would every process they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _same_every_time() -> None:
    """Seed torch and use one thread."""
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hugging Face folder: 4-layer BERT classifier (H=16, 2 heads, random weights) with a WordPiece tokenizer."""
    from tests.support import save_checkpoint, tiny_model

    return save_checkpoint(tmp_path_factory.mktemp("tiny_bert"), tiny_model())


@pytest.fixture(scope="session")
def tiny_task_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A task folder: 64 train, 32 validation and 32 test rows in .jsonl (`sentence`, `label`) and task.yaml."""
    from tests.support import write_task

    return write_task(tmp_path_factory.mktemp("tiny_task"))
