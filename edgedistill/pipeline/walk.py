"""A road under way: which steps are done, and what came of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from edgedistill.config import Settings
from edgedistill.errors import EdgeDistillError
from edgedistill.pipeline.ledger import Ledger
from edgedistill.pipeline.plan import Road
from edgedistill.progress import say
from edgedistill.reports import Verdict

_WORST_FIRST = (2, 3, 1)


class StepResult(Settings):
    """What became of one step."""

    name: str
    """Such as distill or check mobilebert-sst2-onnx-fp32."""
    status: Literal["done", "skipped", "failed", "stopped", "planned"]
    """skipped: finished before; failed: its gate; stopped: an error the rest could do without."""
    seconds: float | None = None
    """How long it took; none when it did not run now."""
    output: str = ""
    """What it made."""
    message: str = ""
    """Why it stopped or failed."""
    exit_code: int = 0
    """What the command exits with, were this the only step."""


class RoadResult(Settings):
    """How far the road went."""

    out: str
    """The road's folder."""
    steps: tuple[StepResult, ...]
    """In order."""
    verdicts: tuple[Verdict, ...] = ()
    """Of every artifact that was judged."""
    page: str | None = None
    """The report."""

    @property
    def exit_code(self) -> int:
        """The worst of the steps': something to change, something missing, a failed gate, 0."""
        codes = {step.exit_code for step in self.steps}
        return next((code for code in _WORST_FIRST if code in codes), 0)


@dataclass
class Walk:
    """The road under way."""

    road: Road
    ledger: Ledger
    overwrite: bool
    steps: list[StepResult] = field(default_factory=list)

    def step(
        self,
        name: str,
        key: str,
        output: Path,
        identity: Callable[[], str],
        work: Callable[[bool], object],
        is_precious: bool = True,
    ) -> None:
        """Do a step, unless it is done.

        Args:
            name: of the step.
            key: fingerprint of what it is made from.
            output: what it makes.
            identity: fingerprint of what is there now; empty for nothing or something damaged.
            work: does it; told whether it was begun before with the same key.
            is_precious: whether a result made from other things is only replaced when told to.
        """
        if self.ledger.is_finished(name, key, identity()):
            say(f"{name}: finished before, skipped")
            self.steps.append(StepResult(name=name, status="skipped", output=str(output)))
            return
        if is_precious and not self.overwrite:
            self.ledger.refuse_other(name, key)
        is_begun = self.ledger.is_begun(name, key)
        say(f"{name}: {'going on' if is_begun else 'starting'}")
        started = time.monotonic()
        with self.ledger.begun(name, key):
            work(is_begun)
        seconds = time.monotonic() - started
        self.ledger.finish(name, key, identity(), seconds)
        self.steps.append(StepResult(name=name, status="done", seconds=round(seconds, 2), output=str(output)))

    def attempt(self, name: str, work: Callable[[], None]) -> bool:
        """Do what the rest of the road can do without; whether it worked."""
        try:
            work()
        except EdgeDistillError as error:
            say(f"{name}: {error}")
            self.steps.append(StepResult(name=name, status="stopped", message=str(error), exit_code=error.exit_code))
            return False
        return True
