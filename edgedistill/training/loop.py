"""The one training loop: `fit` trains a stage, and can be stopped at any moment and go on later.

One process or many (`--launch`, torchrun), CPU or GPU: every step's rows are cut into parts, each process takes its
share, each part's loss term counts by what it is a mean over (rows or tokens), and gradients are summed. So the numbers
do not depend on how many parts or processes there are.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn

from edgedistill.data.batches import Batch
from edgedistill.errors import TrainingError
from edgedistill.progress import progress, say
from edgedistill.training import checkpoint
from edgedistill.training.alarms import Watch, refuse_not_finite
from edgedistill.training.checkpoint import Position
from edgedistill.training.feeding import fed
from edgedistill.training.interrupts import interrupts
from edgedistill.training.journal import Journal, Line, journal
from edgedistill.training.meter import Meter, peak_memory_bytes
from edgedistill.training.optimizer import (
    autocast,
    clip_gradients,
    compiled,
    learning_rate,
    optimizer_of,
    set_learning_rate,
    trained_parameters,
)
from edgedistill.training.parts import split
from edgedistill.training.processes import accelerator, main_first, summed, wait_for_all
from edgedistill.training.profiling import profiled
from edgedistill.training.quantization_aware import rounded
from edgedistill.training.stage import Stage


@dataclass(frozen=True)
class Fitted:
    """What training a stage came to.

    Attributes:
        steps: optimiser steps.
        rows: rows seen.
        seconds: time spent, interruptions left out.
        score: of the epoch that was kept; none without `stage.evaluate`.
    """

    steps: int
    rows: int
    seconds: float
    score: float | None


def fit(
    stage: Stage,
    slot: Path,
    seed: int,
    *,
    tensorboard: Path | None = None,
    profile: Path | None = None,
    save_every_s: float = 60.0,
) -> Fitted:
    """Train a stage, or finish one that was interrupted; a finished one is only loaded.

    Args:
        stage: what to train. Its model ends with the weights of the best epoch where it is evaluated, else the last.
        slot: the stage's folder: checkpoint, log.jsonl, and the best epoch's weights.
        seed: of data order and everything random in a step.
        tensorboard: folder for TensorBoard; none to leave it out.
        profile: file for a profiler's trace of a few steps; none to leave it out.
        save_every_s: seconds between checkpoints within an epoch.

    Raises:
        TrainingError: the loss is not finite (the rows are saved in bad_batch.json), nothing to train, or a
            checkpoint that does not fit.
        StorageError: the disk is full or the folder cannot be written.
        KeyboardInterrupt: Ctrl-C, after the current step was saved.
    """
    training = _Training(stage, slot, seed)
    position = training.position
    if not position.is_finished:
        if stage.prepare is not None:
            stage.prepare()  # before the bar of the stage: it may show one of its own
        board = tensorboard if training.is_main else None
        with (
            journal(slot if training.is_main else None, board, position.step) as trace,
            interrupts() as asked,
            progress(stage.name, training.rows_left) as bar,
            profiled(profile if training.is_main else None, training.steps_left) as note_step,
            rounded(stage),
            compiled(stage),
        ):
            training.asked_to_stop = asked
            watch = Watch()
            if position.rows:
                say(f"{stage.name}: going on after step {position.step}")
            for line in training.steps(trace, save_every_s):
                watch(line)
                bar.advance(line.rows, f"loss {line.loss:.4g}, {line.tokens_per_s:,.0f} tokens/s")
                note_step()
                if training.is_stopping:
                    training.save(trace)
                    say(f"{stage.name}: stopped and saved after step {position.step}")
                    raise KeyboardInterrupt
        training.finish()
        if asked.is_set():  # while the last epoch was scored
            raise KeyboardInterrupt
    return Fitted(position.step, position.rows, position.seconds, position.best_score)


@dataclass
class _Training:
    """A stage being trained in this process."""

    stage: Stage
    slot: Path
    seed: int
    parameters: dict[str, nn.Parameter] = field(init=False)
    optimizer: torch.optim.Optimizer = field(init=False)
    position: Position = field(init=False)

    def __post_init__(self) -> None:
        self.device: torch.device = accelerator().device
        self.process, self.processes = accelerator().process_index, accelerator().num_processes
        self.is_main = accelerator().is_main_process
        self.asked_to_stop, self.is_stopping = threading.Event(), False
        self.meter = Meter()
        self.stage.model.to(self.device)
        if self.stage.scaffold is not None:
            self.stage.scaffold.to(self.device)
        self.parameters = trained_parameters(self.stage)
        self.optimizer = optimizer_of(self.stage, self.parameters)
        with main_first():  # it tidies up after a killed run
            self.position = checkpoint.restore(self.slot, self.stage, self.optimizer, self.parameters)

    @property
    def rows_left(self) -> int | None:
        """Rows it has still to see; none where that depends on how many of them its batches take."""
        stage, optim = self.stage, self.stage.optim
        if stage.rows is not None:
            return stage.rows - self.position.rows
        return None if optim.batch_tokens else (self.steps_left or 0) * min(optim.batch_size, len(stage.batches))

    @property
    def steps_left(self) -> int | None:
        """Steps it has still to take, where that is known."""
        return None if self.stage.steps is None else self.stage.steps - self.position.step

    @property
    def is_over(self) -> bool:
        return self.stage.share(self.position.rows, self.position.step) >= 1.0

    def steps(self, trace: Journal, save_every_s: float) -> Iterator[Line]:
        """Take the steps that are left, scoring and saving at every epoch's end and saving now and then."""
        position, saved_at = self.position, time.monotonic()
        order = checkpoint.number_from(self.seed, self.stage.name)
        if not len(self.stage.batches):
            raise TrainingError(f"stage '{self.stage.name}' has no rows to train on.")
        while not self.is_over:
            self._set_mode()
            batches = self.stage.batches.epoch(order, position.epoch, self.stage.optim.size)
            for batch in self._timed(fed(islice(batches, position.batch, None), self.device)):
                line = self._step(batch)
                trace.step(line)
                yield line
                if self.is_over:
                    break
                if time.monotonic() - saved_at > save_every_s:
                    self.save(trace)
                    saved_at = time.monotonic()
            position.epoch, position.batch = position.epoch + 1, 0
            self._score(trace)
            self.save(trace)

    def save(self, trace: Journal) -> None:
        """Write a checkpoint of where the stage is."""
        trace.flush()
        if self.is_main:
            checkpoint.save(self.slot, self.stage, self.position, self.optimizer, self.parameters)

    def finish(self) -> None:
        """Take the best weights, and leave a checkpoint that says the stage is done."""
        wait_for_all()
        if self.position.best_score is not None:
            checkpoint.restore_best(self.slot, self.stage)
        self.stage.model.eval()
        self.position.is_finished = True
        if self.is_main:
            checkpoint.save(self.slot, self.stage, self.position)
        wait_for_all()

    def _set_mode(self) -> None:
        self.stage.model.train()
        if self.stage.scaffold is not None:
            self.stage.scaffold.train()

    def _score(self, trace: Journal) -> None:
        if self.stage.evaluate is None:
            return
        self.stage.model.eval()
        score, position = float(self.stage.evaluate()), self.position
        trace.score(self.stage.name, position.step, position.rows / len(self.stage.batches), score)
        say(f"{self.stage.name}: {score:.4f} on the development rows after step {position.step}")
        if position.best_score is None or score > position.best_score:
            position.best_score, position.best_step = score, position.step
            if self.is_main:
                checkpoint.save_best(self.slot, self.stage)

    def _timed(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        while True:
            with self.meter("data"):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    def _step(self, batch: Batch) -> Line:
        position, optim = self.position, self.stage.optim
        checkpoint.seed_step(self.seed, self.stage.name, position.step, self.process)
        terms = self._backward(batch)
        loss = sum(terms.values())
        self._refuse_not_finite(batch, terms, loss)
        if self.processes > 1:
            with self.meter("exchange"):
                self._sum_gradients()
        with self.meter("update"):
            norm = clip_gradients(self.parameters.values(), optim.clip_norm)
            self._refuse_not_finite(batch, terms, norm)
            lr = learning_rate(optim, self.stage.share(position.rows, position.step), self.stage.share(len(batch), 1))
            set_learning_rate(self.optimizer, lr)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        position.step, position.batch, position.rows = position.step + 1, position.batch + 1, position.rows + len(batch)
        phases = self.meter.taken()
        position.seconds += sum(phases.values())
        return Line(
            stage=self.stage.name,
            step=position.step,
            epoch=position.rows / len(self.stage.batches),
            seconds=round(position.seconds, 3),
            lr=lr,
            loss=loss,
            terms=terms,
            grad_norm=norm,
            rows=len(batch),
            tokens=int(batch.student.attention_mask.sum()),
            places=batch.student.input_ids.numel(),
            phases={name: round(seconds, 6) for name, seconds in phases.items()},
            memory_bytes=peak_memory_bytes(self.device),
        )

    def _backward(self, batch: Batch) -> dict[str, float]:
        """Add up this process's gradients; return every term's mean over the whole step."""
        parts = split(batch, self.processes * self.stage.optim.accumulate)
        sums: dict[str, Tensor] = {}
        # Left without a part, a process runs the first one, for nothing: all know the terms, and ask as often.
        for round_of in range(0, len(parts), self.processes):
            is_idle = (number := round_of + self.process) >= len(parts)
            part = parts[0 if is_idle else number]
            with self.meter("losses"), autocast(self.device, self.stage.optim):
                terms = self.stage.step(part.to(self.device))
            if not terms:
                raise TrainingError(f"stage '{self.stage.name}' has no loss: every weight is 0.")
            shares = {name: 0.0 if is_idle else self._share(name, part, batch) for name in terms}
            weighted = {name: shares[name] * term.float() for name, term in terms.items()}
            with self.meter("gradients"):
                torch.stack(list(weighted.values())).sum().backward()  # type: ignore[no-untyped-call]
            for name, term in weighted.items():
                sums[name] = sums.get(name, torch.zeros((), device=self.device)) + term.detach()
        # All stop after the same step, though Ctrl-C reaches them at different moments: it is summed with the losses.
        is_asked = torch.tensor(float(self.asked_to_stop.is_set()), device=self.device)
        with self.meter("losses"):
            *values, asked = summed(torch.stack([*sums.values(), is_asked])).tolist()
        self.is_stopping = asked > 0
        return dict(zip(sums, values, strict=True))

    def _share(self, term: str, part: Batch, whole: Batch) -> float:
        """How much a part's mean counts in the mean over the whole step."""
        count = self.stage.means_over.get(term, len)
        return count(part) / max(count(whole), 1)

    def _sum_gradients(self) -> None:
        gradients = [parameter.grad for parameter in self.parameters.values() if parameter.grad is not None]
        sizes = [gradient.numel() for gradient in gradients]
        flat = summed(torch.cat([gradient.flatten() for gradient in gradients]))
        for gradient, total in zip(gradients, torch.split(flat, sizes), strict=True):
            gradient.copy_(total.view_as(gradient))

    def _refuse_not_finite(self, batch: Batch, terms: dict[str, float], value: float) -> None:
        slot = self.slot if self.is_main else None
        refuse_not_finite(slot, self.stage, self.position.step + 1, batch, terms, value)
