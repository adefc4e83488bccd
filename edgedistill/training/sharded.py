"""A teacher too large for one GPU: its layers lie in pieces among the processes (FSDP of torch).

Each layer is put together in every process when it is its turn, and taken apart again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import nn

from edgedistill.data.batches import Batch, Encoded
from edgedistill.errors import CheckpointError
from edgedistill.models.outputs import Outputs, Want
from edgedistill.training.processes import accelerator, summed
from edgedistill.training.teachers import CachedTeacher, TeacherFacts, TeacherProvider

_LOGITS_ONLY = Want()


class ShardedTeacher:
    """A teacher that every process holds a piece of; each brings rows of its own, and all ask at the same time.

    A process that has nothing to ask follows the others (`follow`) until none of them has.
    """

    def __init__(self, teacher: TeacherProvider, models: Sequence[nn.Module]) -> None:
        """Share a teacher out; the pieces are cut when it is first asked.

        Args:
            teacher: runs the models.
            models: the same weights in every process; embeddings and heads stay whole in each.
        """
        self._teacher, self._models, self._is_cut = teacher, models, False

    @property
    def facts(self) -> TeacherFacts:
        """What it is."""
        return self._teacher.facts

    def __call__(self, batch: Batch, want: Want = _LOGITS_ONLY) -> Outputs:
        """Its answers to this process's rows.

        Raises:
            CheckpointError: a family whose layers are not told apart.
            LostProcessError: another process has ended.
        """
        self._is_anyone_asking(True)
        found = self._teacher(batch.to(accelerator().device), want)
        return found.to(batch.student.input_ids.device)

    def follow(self) -> None:
        """Help the others to their answers, until no process has anything to ask.

        Raises:
            CheckpointError: a family whose layers are not told apart.
            LostProcessError: another process has ended.
        """
        token = torch.zeros((1, 1), dtype=torch.int64, device=accelerator().device)
        nothing = Encoded(token, torch.ones_like(token), token)
        while self._is_anyone_asking(False):
            self._teacher(Batch(("",), nothing, nothing))

    def _is_anyone_asking(self, is_asking: bool) -> bool:
        self._cut()
        return summed(torch.tensor(float(is_asking), device=accelerator().device)).item() > 0

    def _cut(self) -> None:
        if self._is_cut:
            return
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh(accelerator().device.type, (accelerator().num_processes,))
        for model in self._models:
            layers = list(_layers(model))
            if not layers:
                raise CheckpointError(
                    f"--shard-teacher: a {type(model).__name__} has no list of layers to share out. Leave it out."
                )
            for layer in layers:
                fully_shard(layer, mesh=mesh, reshard_after_forward=True)
        self._is_cut = True


def follow(teacher: TeacherProvider | None) -> None:
    """Help other processes to a sharded teacher's answers, until none has anything to ask; nothing for any other."""
    asked = teacher.asked if isinstance(teacher, CachedTeacher) else teacher
    if isinstance(asked, ShardedTeacher):
        asked.follow()


def _layers(module: nn.Module) -> Iterator[nn.Module]:
    """The outermost lists of modules, one by one."""
    for child in module.children():
        yield from child if isinstance(child, nn.ModuleList) else _layers(child)
