"""Artifacts as runners, and the students they are compared with: the target that wrote an artifact also runs it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgedistill import plugins
from edgedistill.artifacts import Cascade, Heads, Manifest, Seq2Seq, read_manifest
from edgedistill.errors import NoRuntimeError
from edgedistill.progress import say
from edgedistill.runner import Runner

if TYPE_CHECKING:
    from torch import nn


def open_runner(folder: Path, manifest: Manifest | None = None, threads: int = 1) -> Runner:
    """Load an artifact in its runtime.

    Args:
        folder: the artifact.
        manifest: its manifest, where it was read already.
        threads: how many the runtime may use.

    Raises:
        ArtifactError: no artifact, a missing or refused file.
        MissingExtraError: the runtime is not installed.
        NoRuntimeError: it does not exist for this kind of computer.
    """
    manifest = manifest or read_manifest(folder)
    runner: Runner = plugins.load("targets", manifest.target).runner(folder, manifest, threads)
    return runner


def runner_here(folder: Path, manifest: Manifest) -> Runner | None:
    """Load an artifact in its runtime; None, and a word about it, where that does not exist on this computer.

    Raises:
        ArtifactError, MissingExtraError: as `open_runner`.
    """
    try:
        return open_runner(folder, manifest)
    except NoRuntimeError as error:
        say(str(error))
        return None


def asked_for_all(manifest: Manifest) -> Manifest:
    """The manifest under which a model gives all that goldens store, where its driver otherwise leaves some of it out.

    Early exits give every exit's answer; a model that writes gives its greedy text and its words' log-probabilities.
    """
    if not isinstance(manifest.driver, Cascade | Seq2Seq):
        return manifest
    return manifest.model_copy(update={"driver": manifest.driver.model_copy(update={"asks_all": True})})


def student_runner(model: nn.Module, manifest: Manifest) -> Runner:
    """A student in PyTorch, answering as an artifact is to answer in the manifest's task."""
    from edgedistill.models.answers import torch_runner
    from edgedistill.models.early_exit import early_runner
    from edgedistill.models.fastbert import FastBertForSequenceClassification
    from edgedistill.models.seq2seq import writing_runner

    driver = manifest.driver
    if isinstance(driver, Heads):
        output = driver.head(manifest.task.name).output
        run = torch_runner(model)
        return lambda inputs: {output: run(inputs)["logits"]}
    if isinstance(driver, Seq2Seq):
        return writing_runner(model, driver.max_new_tokens, driver.asks_all)
    if isinstance(driver, Cascade) and isinstance(model, FastBertForSequenceClassification):
        return early_runner(model, driver.asks_all)
    return torch_runner(model)
