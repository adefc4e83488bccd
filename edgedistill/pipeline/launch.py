"""`edgedistill distill --launch`: the same command in several processes, by torch's own launcher (torchrun's).

The launcher starts them, tells each its place, hands Ctrl-C on, and ends all when one ends badly. A process that fails
leaves its message where the launcher looks for it (`tell_launcher`), so that it is shown once.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgedistill.errors import ConfigError, EdgeDistillError, LaunchError, LostProcessError
from edgedistill.progress import say

_MARK = "EDGEDISTILL_LAUNCHED"
_INTERRUPTED = 130
_SHUTDOWN_S = 60
"""Given to processes that were told to stop, to end their step and save it; then they are killed."""
_MEETING_S = 900
"""Given to all machines to arrive."""
_SECOND_S = 10
"""That a process which lost another one waits to be ended; where nobody ends it, the other was on another machine."""


@dataclass(frozen=True)
class Launch:
    """How many processes, and where.

    Attributes:
        processes: on this machine; one for each GPU where there are GPUs.
        machines: how many, each with as many processes.
        machine_rank: which of them this one is, from 0.
        main_machine: HOST:PORT of the machine of rank 0, where all meet; none on a single machine.
    """

    processes: int
    machines: int = 1
    machine_rank: int = 0
    main_machine: str | None = None


def is_launched() -> bool:
    """Whether this process is one of those that `--launch` started."""
    return _MARK in os.environ and "RANK" in os.environ


def launch(how: Launch, arguments: Sequence[str]) -> None:
    """Run `edgedistill` with those arguments in several processes, and wait for all.

    Raises:
        ConfigError: what cannot be launched: GPUs that are not there, a machine without a place, processes within
            processes.
        LaunchError: a process ended badly; with its message and exit code.
        KeyboardInterrupt: Ctrl-C, after every process has saved and ended.
    """
    refuse_wrong_launch(how, os.environ)
    on_what = _refuse_absent_gpus(how.processes)
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import elastic_launch

    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)  # what it logs is said here, once
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    os.environ[_MARK] = "1"
    os.environ.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // how.processes, 1)))
    all_machines = f" on each of {how.machines} machines" if how.machines > 1 else ""
    say(f"{how.processes} processes{all_machines}, {on_what}")
    try:
        elastic_launch(_config(how), sys.executable)("-m", "edgedistill", *arguments)
    except SignalException as error:
        raise KeyboardInterrupt from error
    except ChildFailedError as error:
        raise _told(error.failures, how) from error
    except (RuntimeError, OSError, TimeoutError) as error:
        if how.main_machine is None:
            raise
        raise LaunchError(
            f"machine {how.machine_rank} of {how.machines} did not meet the others at '{how.main_machine}' "
            f"({str(error).splitlines()[0]}). Start the same command on every machine, each with its own "
            "--machine-rank, and make sure that the port is open."
        ) from error
    finally:
        os.environ.pop(_MARK, None)


def refuse_wrong_launch(how: Launch, where: Mapping[str, str]) -> None:
    """Make sure that the processes can find each other.

    Args:
        how: what was asked for.
        where: the environment.

    Raises:
        ConfigError: they cannot.
    """
    if "RANK" in where or "WORLD_SIZE" in where:
        raise ConfigError(
            f"--launch {how.processes}: this process was launched already, as number {where.get('RANK', '?')} of "
            f"{where.get('WORLD_SIZE', '?')} (torchrun, accelerate launch or a scheduler set RANK and WORLD_SIZE). "
            "Leave --launch out, or start edgedistill itself once."
        )
    if not 0 <= how.machine_rank < how.machines:
        raise ConfigError(
            f"--machine-rank {how.machine_rank}: of {how.machines} machines the ranks are 0 to {how.machines - 1}."
        )
    if how.machines == 1:
        return
    host, _, port = (how.main_machine or "").rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ConfigError(
            f"--machines {how.machines} needs --main-machine HOST:PORT, where all machines reach that of rank 0, such "
            f"as 10.0.0.1:29500; '{how.main_machine or ''}' is none."
        )


def tell_launcher(error: EdgeDistillError) -> bool:
    """Leave an error where the launcher finds it.

    Returns:
        Whether it was left: the launcher shows it, and this process need not.
    """
    path = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if not is_launched() or not path:
        return False
    is_cause = not isinstance(error, LostProcessError)
    told = {"message": str(error), "is_cause": is_cause, "exit_code": error.exit_code}
    told["extraInfo"] = {"timestamp": str(int(time.time()))}  # the launcher's own
    Path(path).write_text(json.dumps({"message": told}), encoding="utf-8")
    if not is_cause:
        with suppress(KeyboardInterrupt):  # the one that ended first shall be found ended first
            time.sleep(_SECOND_S)
    return True


def _refuse_absent_gpus(processes: int) -> str:
    """What the processes compute on, in words."""
    import torch

    if not torch.cuda.is_available() or os.environ.get("ACCELERATE_USE_CPU", "").lower() in {"1", "true", "yes"}:
        return "on the processor: no GPU is used"
    count = torch.cuda.device_count()
    if processes > count:
        raise ConfigError(
            f"--launch {processes}: this machine has {count} GPU{'s' if count > 1 else ''}, and each process needs one "
            f"of its own. Launch {count} at most, or set ACCELERATE_USE_CPU=true to use the processor."
        )
    return "one GPU each"


def _config(how: Launch) -> Any:
    from torch.distributed.launcher.api import LaunchConfig

    meeting: dict[str, Any] = (
        {"rdzv_backend": "c10d", "rdzv_endpoint": "localhost:0"}
        if how.machines == 1
        else {
            "rdzv_backend": "static",
            "rdzv_endpoint": how.main_machine,
            "rdzv_configs": {"rank": how.machine_rank, "timeout": _MEETING_S},
        }
    )
    return LaunchConfig(
        min_nodes=how.machines,
        max_nodes=how.machines,
        nproc_per_node=how.processes,
        run_id=str(uuid.uuid4()) if how.machines == 1 else "edgedistill",
        max_restarts=0,
        local_addr="localhost" if how.machines == 1 else None,
        shutdown_timeout=_SHUTDOWN_S,
        **meeting,
    )


def _told(failures: Mapping[int, Any], how: Launch) -> LaunchError:
    """One error of all failures: the first process that knows a cause, else one that was killed, else any."""

    def order(failure: tuple[int, Any]) -> tuple[bool, bool, int]:
        said = failure[1].message
        return not (isinstance(said, dict) and said["is_cause"]), failure[1].exitcode >= 0, failure[0]

    rank, found = min(failures.items(), key=order)
    who = f"process {rank} of {how.processes * how.machines}"
    if isinstance(said := found.message, dict):
        is_alone = rank > 0 and said["is_cause"]  # the others would have said the same
        # Its own code: it may have been ended on its way out.
        return LaunchError(f"{who}: {said['message']}" if is_alone else said["message"], said["exit_code"])
    kept = "The others were stopped. The last saved step is kept; pass --resume to go on with it."
    if found.exitcode < 0:
        hint = " (the system does that where memory runs out)" if found.exitcode == -9 else ""
        return LaunchError(f"{who} was killed by {found.signal_name()}{hint}. {kept}")
    if found.exitcode == _INTERRUPTED:
        return LaunchError(f"{who} was told to stop, by something else than this launcher. {kept}", _INTERRUPTED)
    return LaunchError(f"{who} ended with {found.exitcode}; what it said is above. {kept}", found.exitcode)
