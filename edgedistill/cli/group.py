"""The group of verbs: when each is imported, in which order they are listed, and how errors end."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from edgedistill import __version__
from edgedistill.errors import EdgeDistillError, MissingExtraError, UnknownNameError

GATE_FAILED = 1
USER_MUST_CHANGE = 2
OWN_FAULT = 70  # EX_SOFTWARE: Python's own 1 would read as a failed gate
INTERRUPTED = 130
PIPE_CLOSED = 141  # 128 + SIGPIPE, as a shell reports it

ARGUMENTS = "edgedistill.arguments"
"""Where a verb finds what was typed."""


class Verbs(click.Group):
    """Verbs in the order of the road; every error becomes one message and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order they were added, not by alphabet."""
        return list(self.commands)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the arguments, so that Ctrl-C can say what to type to go on."""
        ctx.meta[ARGUMENTS] = list(args)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb, or offer the nearest one."""
        if not args[0].startswith("-") and args[0] not in self.commands:
            ctx.fail(str(UnknownNameError("verb", args[0], self.commands)))
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run the verb."""
        with _ended_politely(ctx):
            return super().invoke(ctx)


def main() -> None:
    """Entry point of the console script."""
    # A tool's log is not its user's: libraries that talk about themselves are asked to be quiet.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    if not _is_debugging():
        for category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
            warnings.simplefilter("ignore", category)
    from edgedistill.cli.verbs import edgedistill

    signal.signal(signal.SIGTERM, _as_interrupt)
    edgedistill(prog_name="edgedistill")


def _as_interrupt(number: int, frame: object) -> None:
    """Asked to end by the system, end as after Ctrl-C: what can be saved is saved, what is half-written is removed."""
    if signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, None):
        raise KeyboardInterrupt
    signal.raise_signal(signal.SIGINT)


@contextmanager
def _ended_politely(ctx: click.Context) -> Iterator[None]:
    """Turn what a verb raises into one message on stderr and an exit code."""
    from edgedistill.pipeline.launch import is_launched, tell_launcher

    try:
        yield
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except KeyboardInterrupt:
        if not is_launched():  # else whoever launched this process says it
            _say(_how_to_go_on(ctx.meta[ARGUMENTS]))
        ctx.exit(INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the flush at exit must not fail again
        ctx.exit(PIPE_CLOSED)
    except Exception as error:
        if _is_debugging():
            raise
        told = _as_user_error(error)
        if told is None:
            _say("This is a fault of edgedistill, not of what you typed. Please report it with these lines:")
            sys.excepthook(type(error), error, error.__traceback__)
            ctx.exit(OWN_FAULT)
        if not tell_launcher(told):
            _say(f"Error: {told}")
        ctx.exit(told.exit_code)


def _as_user_error(error: Exception) -> EdgeDistillError | None:
    """What the user can act on in `error`; none where it is a fault of edgedistill's."""
    if isinstance(error, EdgeDistillError):
        return error
    if isinstance(error, OSError):
        return _as_storage_error(error)
    if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("edgedistill"):
        return MissingExtraError("this verb", (error.name or "").partition(".")[0], "all")
    if _is_out_of_memory(error):
        return EdgeDistillError(
            "out of memory. Use smaller batches (--set optim.batch_size=8), or the same ones in parts "
            "(--set optim.accumulate=4), or a shorter max_length, or a smaller model."
        )
    return None


def _is_out_of_memory(error: Exception) -> bool:
    """Torch has a class of its own for a GPU's memory only; of the processor's it says so in a RuntimeError's text."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


def _as_storage_error(error: OSError) -> EdgeDistillError:
    from edgedistill import files

    try:
        with files.storage_errors(Path(str(error.filename or "the output"))):
            raise error
    except EdgeDistillError as told:
        return told
    except OSError:
        place = f" '{error.filename}'" if error.filename else ""
        return EdgeDistillError(f"the system refused{place}: {error.strerror or error}.")


def _how_to_go_on(args: list[str]) -> str:
    again = shlex.join(["edgedistill", *args])
    if args[:1] == ["distill"] and "--dry-run" not in args:
        again += "" if "--resume" in args else " --resume"
        return f"\nStopped. The last saved step is kept; to go on:\n  {again}"
    if args[:1] == ["run"] and "--dry-run" not in args:
        return f"\nStopped. Finished steps are kept and will be skipped; to go on:\n  {again}"
    return f"\nStopped. Nothing half-written is left; to do it again:\n  {again}"


def _is_debugging() -> bool:
    return os.environ.get("EDGEDISTILL_DEBUG", "") not in {"", "0"}


def _say(message: str) -> None:
    click.echo(message, err=True)


def new_group() -> Verbs:
    """The empty group, with its version option."""
    group = Verbs(
        name="edgedistill",
        help="From a BERT-class teacher to a verified, measured model inside a phone app.\n\n"
        "distill a student, export it, check it through one gate, bench it, package it.",
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        epilog="Exit codes: 0 done; 1 a gate failed or was inconclusive; 2 something you must change; "
        "3 something optional is missing; 130 after Ctrl-C.",
    )
    return click.version_option(__version__, message="%(prog)s %(version)s")(group)
