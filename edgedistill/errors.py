"""Everything that can go wrong in a way the user can act on.

    EdgeDistillError                 exit code
    |-- ConfigError                  2   a setting, a YAML file, an option
    |   `-- UnknownNameError         2   no recipe / target / scheme / task of that name
    |-- DataError                    2   a data file, a column, a label, an encoding
    |-- CheckpointError              2   a teacher or student folder
    |-- ArtifactError                2   an artifact folder, its manifest or its files
    |   `-- UnprovenError              1   an artifact that has not passed its gate, where a proof is needed
    |-- TrainingError                2   training cannot go on (NaN loss, changed config on resume)
    |   `-- LostProcessError           2   another process of the same training has ended
    |-- LaunchError                  2   a launched process ended; its own exit code where it has one
    |-- ExportError                  2   a target / scheme pair or an operator that cannot be exported
    |   `-- BudgetError                1   no way of exporting it keeps the accuracy, size and time that were asked for
    |-- StorageError                 2   disk full, read-only folder, output already there, folder in use
    |   |-- TakenError               2   something else is already where something shall be written
    |   `-- UnwrittenError           2   a result that was reached and could not be written; it is shown first
    |-- MissingExtraError            3   an optional package is not installed
    |-- NoRuntimeError               3   a runtime that does not exist for this kind of computer
    `-- DeviceError                  3   a phone or tool that is not there
        `-- LostPhoneError             3   the connection to a phone broke

A message says what happened with the value found, then what to do next. The command line prints it
as it is and exits with `exit_code`; it never shows a traceback for these. A failed gate is no error:
it is a verdict, and the command that printed it exits with 1.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class EdgeDistillError(Exception):
    """Base of every error a user can act on."""

    exit_code = 2


class ConfigError(EdgeDistillError):
    """A setting is missing, unknown or has a value that cannot work."""


class UnknownNameError(ConfigError):
    """A name that is not in its list; the message offers the nearest one."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        super().__init__(f"no {kind} named '{name}'.{hint} There are: {', '.join(names)}.")


class DataError(EdgeDistillError):
    """A data file, row, column or label cannot be used."""


class CheckpointError(EdgeDistillError):
    """A checkpoint folder is missing, corrupt, untrusted or of the wrong kind."""


class ArtifactError(EdgeDistillError):
    """An artifact folder is incomplete, changed since it was written, or of another schema version."""


class UnprovenError(ArtifactError):
    """An artifact was not checked, was changed since, or did not pass."""

    exit_code = 1


class TrainingError(EdgeDistillError):
    """Training cannot go on, or must not be resumed."""


class LostProcessError(TrainingError):
    """Another process that trains together with this one has ended or cannot be reached."""


class LaunchError(EdgeDistillError):
    """A process that was launched has ended and told why, or was ended."""

    def __init__(self, message: str, exit_code: int = 2) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class ExportError(EdgeDistillError):
    """A model, target and scheme that do not go together."""


class BudgetError(ExportError):
    """A search ended without anything that meets its budget."""

    exit_code = 1


class StorageError(EdgeDistillError):
    """The output cannot be written: no space, no permission, already there, or in use."""


class TakenError(StorageError):
    """Where something shall be written, something else is already."""


class UnwrittenError(StorageError):
    """A result was reached and cannot be written. It is not lost: whoever shows the error shows the result first."""

    def __init__(self, message: str, result: Any) -> None:
        super().__init__(message)
        self.result = result


class MissingExtraError(EdgeDistillError):
    """An optional package is not installed."""

    exit_code = 3

    def __init__(self, wanted_by: str, package: str, extra: str | None) -> None:
        """Name a package, and the extra of edgedistill that brings it; none: it comes by itself."""
        run = f'pip install "edgedistill[{extra}]"' if extra else f"pip install {package}"
        super().__init__(f"{wanted_by} needs the package '{package}', which is not installed. Run: {run}")


class NoRuntimeError(EdgeDistillError):
    """An artifact's runtime does not exist for this kind of computer, whatever is installed."""

    exit_code = 3


class DeviceError(EdgeDistillError):
    """A device or an external tool is not there or stopped answering."""

    exit_code = 3


class LostPhoneError(DeviceError):
    """The connection to a phone broke while something was done there; it may come back."""
