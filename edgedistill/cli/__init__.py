"""The command line: one thin function per verb. It parses, calls `edgedistill.pipeline`, and shows the result.

Results go to stdout (tables, or JSON with --json), progress and errors to stderr.
Exit codes: 0 done, 1 a gate failed or was inconclusive, 2 the user must change something, 3 something
optional is missing, 70 a fault of edgedistill itself, 130 after Ctrl-C.
"""

from edgedistill.cli.group import main

__all__ = ["main"]
