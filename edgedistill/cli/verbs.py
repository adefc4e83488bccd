"""The verbs. Each parses, calls one function of `edgedistill.pipeline`, and shows what came out."""

from __future__ import annotations

from pathlib import Path

import click

from edgedistill.cli import caches, look
from edgedistill.cli.bench import bench
from edgedistill.cli.distill import distill
from edgedistill.cli.group import GATE_FAILED, new_group
from edgedistill.cli.options import (
    as_json,
    client_option,
    config_option,
    data_option,
    dry_run,
    out_option,
    overwrite,
    set_option,
)
from edgedistill.cli.package import package

edgedistill = new_group()
edgedistill.add_command(look.plan)
edgedistill.add_command(distill)


@edgedistill.command()
@click.argument("student")
@click.option("--target", metavar="NAME", help="Runtime; see: edgedistill ls targets.  [default: onnx]")
@click.option("--scheme", metavar="NAME", help="Precision; see: edgedistill ls schemes.  [default: fp32]")
@click.option("--length", "lengths", type=int, multiple=True, help="A fixed input length in tokens; may be repeated.")
@click.option("--task", metavar="NAME|FILE", help="Task of a checkpoint that does not know its own.")
@data_option
@out_option("Artifact folder to make.  [default: beside the student]")
@config_option
@set_option("lengths=[32,128]")
@client_option
@overwrite
@dry_run
@as_json
def export(
    student: str,
    target: str | None,
    scheme: str | None,
    lengths: tuple[int, ...],
    task: str | None,
    data: Path | None,
    out: Path | None,
    config: Path | None,
    settings: tuple[str, ...],
    clients: tuple[str, ...],
    overwrite: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Turn STUDENT into an artifact for one runtime.

    STUDENT is what `distill` made, or the folder or Hub id of any fine-tuned BERT-family checkpoint.
    """
    from edgedistill import resources
    from edgedistill.cli import show
    from edgedistill.pipeline.export import export as run_export

    chosen = {name: value for name, value in (("target", target), ("scheme", scheme)) if value is not None}
    buckets = (f"lengths={sorted(lengths)}",) if lengths else ()
    made = run_export(
        student,
        **chosen,
        out=out,
        config=resources.export_config(config) if config else None,
        settings=(*settings, *buckets),
        task=task,
        data=data,
        clients=clients,
        overwrite=overwrite,
        dry_run=dry_run,
    )
    show.artifact(made, as_json, is_made=not dry_run)


@edgedistill.command()
@click.argument("artifact", type=click.Path(path_type=Path))
@set_option("int8_agreement=0.95")
@as_json
@click.pass_context
def check(ctx: click.Context, artifact: Path, settings: tuple[str, ...], as_json: bool) -> None:
    """Judge ARTIFACT at the gate: is it still right?

    Compares it with its student and its teacher on real and adversarial text and writes parity.json into it.
    Exits with 1 when a step failed or the rows are too few to tell.
    """
    from edgedistill.cli import show
    from edgedistill.errors import UnwrittenError
    from edgedistill.pipeline.check import check as run_check

    try:
        verdict = run_check(artifact, settings=settings)
    except UnwrittenError as error:
        show.verdict(error.result, as_json)
        raise
    show.verdict(verdict, as_json)
    if verdict.status != "passed":
        ctx.exit(GATE_FAILED)


edgedistill.add_command(bench)


edgedistill.add_command(package)


@edgedistill.command()
@click.argument("run", type=click.Path(path_type=Path))
@out_option("Folder to write to.  [default: the run]")
@as_json
def report(run: Path, out: Path | None, as_json: bool) -> None:
    """Write RUN's page: verdicts, numbers, traces, commands and hashes."""
    from edgedistill.cli import show
    from edgedistill.pipeline.report import report as run_report

    show.page(run_report(run, out=out), as_json)


for verb in (look.ls, look.config, look.doctor, caches.cache):
    edgedistill.add_command(verb)


@edgedistill.command()
@click.argument("road", metavar="ROAD")
@out_option("Folder to work in.  [default: the road's]")
@set_option("distill.settings.optim.lr=2e-5")
@overwrite
@dry_run
@as_json
@click.pass_context
def run(
    ctx: click.Context,
    road: str,
    out: Path | None,
    settings: tuple[str, ...],
    overwrite: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Go the whole ROAD: distill, export, check, bench, report.

    ROAD is a YAML file (see: edgedistill config road), or `demo` for the one that ships with edgedistill.
    Steps that are finished are skipped, so the same command goes on after an interruption.
    """
    from edgedistill.cli import show
    from edgedistill.pipeline.road import run as run_road

    result = run_road(road, out=out, settings=settings, overwrite=overwrite, dry_run=dry_run)
    show.road(result, as_json)
    ctx.exit(result.exit_code)
