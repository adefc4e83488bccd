"""Write the pages that come from code: docs/cli.md (the help of every verb) and docs/schemas/*.json.

    python docs/generate.py            write them
    python docs/generate.py --check    exit with 1 when one of them is stale

A test runs the check, so the pages never say anything else than the code.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from pydantic import BaseModel

from edgedistill import plugins
from edgedistill.apps import AppChecks, Proof
from edgedistill.artifacts import Golden, Manifest, ReferenceRow
from edgedistill.cli.verbs import edgedistill
from edgedistill.data.tasks import Task
from edgedistill.errors import MissingExtraError
from edgedistill.phones.bundle import Bundle
from edgedistill.phones.emulation import EmulationReport
from edgedistill.phones.protocol import Probe, Progress, RunRequest, RunResult
from edgedistill.pipeline.doctor import Checkup
from edgedistill.pipeline.plan import Road
from edgedistill.pipeline.road import RoadResult
from edgedistill.pipeline.shape_plan import ShapePlan
from edgedistill.reports import BenchReport, ExitReport, StudentCard, Verdict

DOCS = Path(__file__).resolve().parent
FORMATS: dict[str, type[BaseModel]] = {
    "manifest": Manifest,
    "golden": Golden,
    "reference": ReferenceRow,
    "verdict": Verdict,
    "bench": BenchReport,
    "student": StudentCard,
    "exits": ExitReport,
    "shape-plan": ShapePlan,
    "proof": Proof,
    "app-checks": AppChecks,
    "checkup": Checkup,
    "road": Road,
    "road-result": RoadResult,
    "task": Task,
    "run-request": RunRequest,
    "run-result": RunResult,
    "run-progress": Progress,
    "probe": Probe,
    "bundle": Bundle,
    "emulation": EmulationReport,
}
KINDS: tuple[plugins.Kind, ...] = ("recipes", "targets", "apps")


def pages() -> tuple[dict[Path, str], dict[str, str]]:
    """Every generated page by its path within docs/, and the plug-ins left out, each with the reason."""
    models, left_out = dict(FORMATS), {}
    for kind in KINDS:
        for name in plugins.names(kind):
            try:
                models[f"{kind[:-1]}-{name}"] = plugins.load(kind, name).Config
            except MissingExtraError as error:
                left_out[f"{kind[:-1]}-{name}"] = str(error)
    schemas = {Path("schemas") / f"{name}.json": _schema(model) for name, model in models.items()}
    return {**schemas, Path("cli.md"): _command_line()}, left_out


def stale() -> list[str]:
    """Names of pages that are not what the code says, or that nothing in the code makes."""
    wanted, left_out = pages()
    wrong = [str(path) for path, text in wanted.items() if _text(DOCS / path) != text]
    known = {path.stem for path in wanted} | set(left_out)
    return wrong + [f"schemas/{path.name}" for path in (DOCS / "schemas").glob("*.json") if path.stem not in known]


def write() -> None:
    """Bring every page up to date; delete those that nothing makes any more."""
    for name in stale():
        (DOCS / name).unlink(missing_ok=True)
    for path, text in pages()[0].items():
        (DOCS / path).parent.mkdir(parents=True, exist_ok=True)
        (DOCS / path).write_text(text, encoding="utf-8")


def _schema(model: type[BaseModel]) -> str:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _command_line() -> str:
    parts = ["# The command line", "", "Made by `python docs/generate.py` from the code.", ""]
    parts += ["```", _help(edgedistill, "edgedistill", None), "```", ""]
    with click.Context(edgedistill, info_name="edgedistill") as parent:
        for name, command in edgedistill.commands.items():
            parts += [f"## {name}", "", "```", _help(command, name, parent), "```", ""]
            inner = command.commands if isinstance(command, click.Group) else {}
            with click.Context(command, info_name=name, parent=parent) as group:
                for verb, one in inner.items():
                    parts += [f"### {name} {verb}", "", "```", _help(one, verb, group), "```", ""]
    return "\n".join(parts).rstrip() + "\n"


def _help(command: click.Command, name: str, parent: click.Context | None) -> str:
    settings = {"terminal_width": 100, "max_content_width": 100, "help_option_names": ["-h", "--help"]}
    return command.get_help(click.Context(command, info_name=name, parent=parent, **settings))


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        found = stale()
        sys.stdout.write("".join(f"stale: docs/{name}\n" for name in found))
        sys.exit(bool(found))
    write()
