"""The verb `package`: an app's folder, or what it would weigh."""

from __future__ import annotations

from pathlib import Path

import click

from edgedistill.cli.group import GATE_FAILED
from edgedistill.cli.options import as_json, client_option, data_option, out_option, overwrite, set_option


@click.command()
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option(
    "--for", "platform", metavar="NAME", default="files", show_default=True, help="What to make; see: ls apps."
)
@click.option(
    "--prove-on-device",
    is_flag=True,
    help="Take what no runtime of this computer runs (Core ML off a Mac); the app's self-test has to prove it.",
)
@client_option
@out_option("Folder to make.")
@click.option("--app-id", metavar="ID", help="Of the app, such as com.example.app: short for --set app_id=ID.")
@click.option("--plan", is_flag=True, help="Make nothing; say where the megabytes go, and what would take fewer.")
@click.option("--budget", metavar="SIZE", help="Most bytes on the phone or the page, runtime and all: 12MB.")
@data_option
@click.option(
    "--shapes", type=click.Path(path_type=Path), multiple=True, metavar="FILE",
    help="With --plan: what `edgedistill plan --json` printed; its shapes are weighed too.",
)  # fmt: skip
@set_option("title=Mood")
@overwrite
@as_json
@click.pass_context
def package(
    ctx: click.Context,
    artifact: Path,
    platform: str,
    prove_on_device: bool,
    clients: tuple[str, ...],
    out: Path | None,
    app_id: str | None,
    plan: bool,
    budget: str | None,
    data: Path | None,
    shapes: tuple[Path, ...],
    settings: tuple[str, ...],
    overwrite: bool,
    as_json: bool,
) -> None:
    """Bundle ARTIFACT for an app, with the proof that it passed.

    Refuses an artifact that was changed, not checked, or failed. With --budget, exits with 1 and makes nothing when
    it would be over.
    """
    from edgedistill.cli import show, show_sizes
    from edgedistill.pipeline.package import package as run_package
    from edgedistill.pipeline.size_plan import size_plan

    if out is None and not plan:
        raise click.UsageError("Missing option '--out'. Or pass --plan to make nothing.")
    if not plan and (data is not None or shapes):
        raise click.UsageError("--data and --shapes go with --plan.")
    if plan or budget is not None:
        sizes = size_plan(artifact, platform=platform, budget=budget, data=data, shapes=shapes)
        if plan or sizes.fits is False:
            show_sizes.plan(sizes, as_json)
        if sizes.fits is False:
            ctx.exit(GATE_FAILED)
    if out is not None and not plan:
        named = (f"app_id={app_id}",) if app_id is not None else ()
        made = run_package(
            artifact, platform=platform, prove_on_device=prove_on_device, clients=clients, out=out,
            settings=(*settings, *named), overwrite=overwrite,
        )  # fmt: skip
        show.package(made, as_json)
