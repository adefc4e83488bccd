"""How much of an artifact its accelerators take: numbers of the first rung, with a limit where one is set."""

from __future__ import annotations

from typing import Any

from edgedistill.artifacts import Delegation, Manifest
from edgedistill.gate.rungs import finding, measure, together
from edgedistill.gate.tolerances import Tolerances
from edgedistill.reports import Finding, Rung


def with_delegations(rung: Rung, manifest: Manifest, tolerances: Tolerances) -> Rung:
    """The rung with the share of nodes of every accelerator the artifact was made for; failed below the limit."""
    if not manifest.delegations:
        return rung
    least = tolerances.min_delegated
    measures = tuple(
        measure(f"delegated to {each.accelerator}", _share(each), least, ">=") for each in manifest.delegations
    )
    found = tuple(_fault(each, least) for each in manifest.delegations if _share(each) < least)
    changes: dict[str, Any] = {"measures": (*rung.measures, *measures), "findings": (*rung.findings, *found)}
    if found:
        changes |= {"status": "failed", "reason": together([rung.reason, *(fault.message for fault in found)])}
    return rung.model_copy(update=changes)


def _share(delegation: Delegation) -> float:
    return delegation.delegated / max(1, delegation.nodes)


def _fault(delegation: Delegation, least: float) -> Finding:
    left = ", ".join(delegation.unsupported[:4]) or "shapes that are not fixed"
    return finding(
        "left_to_the_processor",
        f"{delegation.accelerator} takes {delegation.delegated} of {delegation.nodes} nodes in "
        f"{delegation.partitions} pieces, min_delegated is {least:g}; first it does not take: {left}.",
    )
