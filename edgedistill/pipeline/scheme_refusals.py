"""What `export` and `plan` refuse of a scheme before anything is loaded."""

from __future__ import annotations

from collections.abc import Sequence

from edgedistill.data.tasks import find_task
from edgedistill.errors import ExportError, UnknownNameError
from edgedistill.quant.schemes import SCHEMES

_LABELLED = ("single", "pair", "regression")


def refuse_scheme(target: str, scheme: str, honoured: Sequence[str]) -> None:
    """Make sure that a target does a scheme.

    Raises:
        UnknownNameError: no scheme of that name anywhere.
        ExportError: one that this target does not do.
    """
    if scheme not in SCHEMES and scheme not in honoured:
        raise UnknownNameError("scheme", scheme, honoured)
    if scheme not in honoured:
        raise ExportError(f"target '{target}' does not do scheme '{scheme}'. It does: {', '.join(honoured)}.")


def refuse_unlabelled(task: str | None) -> None:
    """Make sure that a search has labelled rows.

    Raises:
        ExportError: no task was named, or one whose answers are more than a label.
    """
    if task is None:
        raise ExportError(
            "scheme 'auto' judges on labelled rows of the task's train split. Name the task: --task NAME, and --data "
            "DIR where its files lie."
        )
    kind = find_task(task).kind
    if kind not in _LABELLED:
        raise ExportError(f"scheme 'auto' does tasks of kind {', '.join(_LABELLED)}; '{task}' is of kind '{kind}'.")
