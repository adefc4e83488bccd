"""What can go wrong with a phone, on demand."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Faults:
    """Each fault happens as often as it says, then the device is well again.

    Attributes:
        unauthorized: whether nobody has allowed this computer on its screen.
        silent: whether it never answers a connection.
        drops_mid_push: times the connection breaks while a file arrives.
        drops_mid_pull: times it breaks while a file is fetched.
        drops_mid_run: times it breaks while a program runs.
        spared_runs: programs that run well before one is hit.
        reboots_mid_run: times it breaks and comes back after `away_seconds`.
        gone_mid_run: whether it breaks while a program runs and never comes back.
        away_seconds: how long a reboot takes.
        before_drop_seconds: how long a program runs before the connection breaks.
        space_bytes: what fits on it; none: anything.
        damages: files whose bytes are damaged on the way.
        push_delay_seconds: pause at every block of a file that arrives.
        garbage: whether programs print rubbish and write rubbish as their result.
        hangs: whether programs never end and say nothing.
    """

    unauthorized: bool = False
    silent: bool = False
    drops_mid_push: int = 0
    drops_mid_pull: int = 0
    drops_mid_run: int = 0
    spared_runs: int = 0
    reboots_mid_run: int = 0
    gone_mid_run: bool = False
    away_seconds: float = 1.0
    before_drop_seconds: float = 0.1
    space_bytes: int | None = None
    damages: int = 0
    push_delay_seconds: float = 0.0
    garbage: bool = False
    hangs: bool = False
