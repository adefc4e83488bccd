"""What a plan was asked, checked before anything is read, and the same as it is typed."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgedistill import plugins
from edgedistill.config import build
from edgedistill.errors import ConfigError, ExportError
from edgedistill.measure.machine import refuse_more_threads
from edgedistill.pipeline.scheme_refusals import refuse_scheme
from edgedistill.pipeline.shape_plan import Budget, bytes_of
from edgedistill.pipeline.shape_text import Text
from edgedistill.quant.schemes import SCHEMES, SEARCHED

if TYPE_CHECKING:
    from edgedistill.targets import ExportConfig


@dataclass(frozen=True)
class Place:
    """Where shapes are timed, as typed.

    Attributes:
        device: host, adb or adb:SERIAL.
        affinity: cores of the phone.
        bundle, aar: what runs there.
    """

    device: str = "host"
    affinity: str | None = None
    bundle: Path | None = None
    aar: Path | None = None

    @property
    def words(self) -> list[str]:
        """What to type for it."""
        more = (("--affinity", self.affinity), ("--bundle", self.bundle), ("--aar", self.aar))
        return ["--device", self.device, *(w for name, value in more if value is not None for w in (name, str(value)))]


@dataclass(frozen=True)
class Question:
    """What was asked, checked."""

    text: Text
    place: Place
    cfg: ExportConfig
    schemes: tuple[str, ...]
    length: int
    threads: int
    budget: Budget
    shapes: int
    settings: tuple[str, ...]
    seed: int

    def command(self, teacher: str) -> str:
        """The same question to that teacher, as it is typed."""
        cfg, budget = self.cfg, self.budget
        words = ["edgedistill", "plan", "--teacher", teacher, "--target", cfg.target, "--scheme", cfg.scheme]
        words += ["--length", str(self.length), "--threads", str(self.threads)]
        words += ["--p90-ms", f"{budget.p90_ms:g}"] if budget.p90_ms is not None else []
        words += ["--bytes", str(budget.size_bytes)] if budget.size_bytes is not None else []
        words += [*self.text.words, *self.place.words, "--shapes", str(self.shapes), "--seed", str(self.seed)]
        for setting in self.settings:
            words += ["--set", setting]
        return shlex.join(words)


def question(
    text: Text,
    place: Place,
    target: str,
    scheme: str,
    length: int,
    threads: int,
    p90_ms: float | None,
    size: int | str | None,
    shapes: int,
    settings: Sequence[str],
    seed: int,
) -> Question:
    """What was asked; see `plan` for the arguments.

    Raises:
        ConfigError: an unknown target or scheme, a number that makes no sense, a size that is none.
        ExportError: a target that does not do the scheme, or one that is searched for.
        MissingExtraError: the target's packages are not installed.
    """
    module = plugins.load("targets", target)
    refuse_scheme(target, scheme, module.SCHEMES)
    if scheme in SEARCHED:
        raise ExportError(
            f"scheme '{scheme}' searches what a trained student needs in float, and nothing is trained yet. Plan with "
            "int8_dynamic or int8_weight, which it starts from."
        )
    for name, number in (("threads", threads), ("shapes", shapes)):
        if number < 1:
            raise ConfigError(f"{name} must be at least 1 (found {number}).")
    refuse_more_threads(threads)
    given = {"p90_ms": p90_ms, "size_bytes": bytes_of(str(size)) if size is not None else None}
    one_length = {"target": target, "scheme": scheme, "max_length": length, "lengths": (length,)}
    return Question(
        text=text,
        place=place,
        cfg=build(module.Config, one_length, "plan"),
        schemes=tuple(name for name in module.SCHEMES if not SCHEMES[name].is_searched),
        length=length,
        threads=threads,
        budget=build(Budget, given, "plan"),
        shapes=shapes,
        settings=tuple(settings),
        seed=seed,
    )
