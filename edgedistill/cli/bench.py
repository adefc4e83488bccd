"""bench: on this computer, on a phone, or the numbers of other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgedistill.cli.options import as_json, out_option, refuse_given, whole_numbers


@click.command()
@click.argument("artifacts", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--device",
    default="host",
    show_default=True,
    metavar="host|web|adb[:SERIAL]|app|qemu[:NAME,...]",
    help="This computer, its browser, a phone, an app on it, or emulated arm64 processors: a53, a76, max.",
)
@click.option(
    "--mode",
    type=click.Choice(["submission", "quick", "rapid"]),
    default="quick",
    show_default=True,
    help="How long to measure each: 1024 runs and 60 s, 128 and 10 s, 64 and 6 s.",
)
@click.option(
    "--threads",
    type=whole_numbers,
    metavar="N,N,...",
    help="Thread counts: 1,2.  [default: 1 and all usable cores; on a phone 1,2,4]",
)
@click.option(
    "--lengths",
    type=whole_numbers,
    metavar="N,N,...",
    help="Input lengths in tokens: 32,128.  [default: the artifact's]",
)
@click.option("--no-reference", "reference", is_flag=True, default=True, flag_value=False, help="Leave PyTorch out.")
@click.option("--affinity", metavar="big|little|MASK", help="Cores of the phone: its fast or slow ones, or such as f0.")
@click.option("--bundle", type=click.Path(path_type=Path), metavar="DIR", help="Runner for the phone.  [default: made]")
@click.option("--aar", type=click.Path(path_type=Path), metavar="FILE", help="Android library to run in its stead.")
@click.option(
    "--tool", "tools", multiple=True, metavar="NAME=FILE",
    help="Time with the phone's benchmark_model, onnxruntime_perf_test or executor_runner too; may be repeated.",
)  # fmt: skip
@click.option(
    "--import", "imported", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
    help="Take what another benchmark tool printed or wrote; may be repeated.",
)  # fmt: skip
@click.option(
    "--from", "source", type=click.Choice(["phone", "host"]), help="Where that ran, if the tool does not say."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the texts and the interleaving.")
@out_option("A file to write the report to as well.")
@as_json
@click.pass_context
def bench(ctx: click.Context, /, as_json: bool, **asked: Any) -> None:
    """Time ARTIFACTS on this computer beside PyTorch, in its browser, or on a phone.

    Writes its report into each: bench.json, bench-web.json, bench-PHONE.json, or with --import bench-imported.json.
    No phone time is ever guessed from this computer's, and none is taken from an emulator: with --device qemu the
    report, qemu.json, says whether arm64 answers alike and how many instructions an inference takes. With --device app
    nothing is timed yet: --out gets what the in-app benchmark is to be asked, and what to type next is printed.
    Name all files of an artifact at once: what --import writes takes the place of what was imported before.
    """
    if asked["imported"]:
        refuse_given(ctx, ("artifacts", "imported", "source", "out", "as_json"), "with --import: nothing is measured")
    if asked["device"] == "app":
        from edgedistill.cli.app_requests import app_requests

        return app_requests(ctx, asked, as_json)
    if asked["device"].partition(":")[0] == "qemu":
        from edgedistill.cli.emulation import emulated_bench

        return emulated_bench(ctx, asked, as_json)
    from edgedistill.cli import show
    from edgedistill.cli.group import GATE_FAILED
    from edgedistill.pipeline.bench_anywhere import bench_anywhere

    report = bench_anywhere(**asked)
    show.bench(report, as_json)
    if any(test.status == "failed" for test in report.self_tests):
        ctx.exit(GATE_FAILED)
    return None
