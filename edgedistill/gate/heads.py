"""Several heads on one encoder: which of them an answer came from."""

from __future__ import annotations

from edgedistill import parity
from edgedistill.artifacts import Heads
from edgedistill.gate.case import Case
from edgedistill.gate.rungs import finding
from edgedistill.reports import Finding


def swapped_heads(case: Case, explained: float) -> Finding | None:
    """The head whose output gives what this task's should; none where no other one does.

    Args:
        case: the artifact in one of its tasks.
        explained: relative difference up to which outputs count as the same.
    """
    driver = case.manifest.driver
    if not isinstance(driver, Heads):
        return None
    outputs = case.run(case.golden_encodings, batch_size=1)
    for head in driver.heads:
        rows = outputs.get(head.output)
        if head.name == case.manifest.task.name or rows is None or rows[0].shape != case.student_goldens[0].shape:
            continue
        if parity.difference(case.student_goldens, rows).relative <= explained:
            message = f"the student's answers to '{case.manifest.task.name}' come out as those to '{head.name}'."
            return finding("swapped_heads", f"{message} Every text would be answered by the wrong task.")
    return None
