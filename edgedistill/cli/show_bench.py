"""A bench as tables or as JSON: measured rows, self-tests on a phone, and what others state."""

from __future__ import annotations

import json as _json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
from rich.text import Text

from edgedistill.cli.tables import print_table, shared_start, size, status, table

if TYPE_CHECKING:
    from edgedistill.reports import BenchReport, BenchRow, SelfTest, StatedRow

_TIMES = ("p50 ms", "p90 ms", "p99 ms", "first ms", "load ms")


def bench(report: BenchReport, as_json: bool) -> None:
    """One line per artifact, length and thread count; then what was answered on the phone, and what others state."""
    if as_json:
        return click.echo(_json.dumps(report.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False))
    if report.rows:
        _rows(report)
    for row in (row for row in report.rows if row.mean_layers is not None):
        name, mean = row.artifact, row.latency.mean_ms
        how = f"length up to {row.length}, {row.threads} thread{'s' if row.threads > 1 else ''}"
        print_table(Text(f"{name}, {how}: {row.mean_layers:.2f} layers a text on average, mean {mean:.2f} ms"))
    if report.self_tests:
        _self_tests(report.self_tests)
    if report.stated:
        _stated(report.stated)
    if report.phone and not report.rows and not report.stated:
        print_table(Text("no times: this is an emulator", "bold yellow"))
    return None


def _rows(report: BenchReport) -> None:
    names = ("length", "threads", *_TIMES, "memory", "size", "runs")
    shared = shared_start([row.artifact for row in report.rows if row.manifest_sha256])
    device = f"{report.phone.model} (phone)" if report.phone else report.environment.cpu
    title = f"{shared.rstrip('-')} on {device}, {report.mode}".removeprefix(" on ")
    rows = table("artifact", *names, title=title, numeric=names)
    for row in report.rows:
        rows.add_row(row.artifact.removeprefix(shared), *_cells(row))
    print_table(rows)


def _cells(row: BenchRow) -> tuple[str, ...]:
    times = row.latency
    memory = size(row.peak_rss_bytes) if row.peak_rss_bytes is not None else "not_run"
    marks = "" if row.validity == "valid" else f" ({row.validity})"
    marks += " throttled" if row.is_throttled else ""
    millis = (times.p50_ms, times.p90_ms, times.p99_ms, times.first_ms, times.load_ms)
    shown = (f"{value:.2f}" for value in millis)
    return (str(row.length), str(row.threads), *shown, memory, size(row.size_bytes), f"{times.runs}{marks}")


def _self_tests(tests: Sequence[SelfTest]) -> None:
    names = ("goldens", "within", "largest difference")
    rows = table("answered on the device", "status", "source", *names, "", title="self-test", numeric=names)
    for test in tests:
        largest = "" if test.max_abs is None else f"{test.max_abs:.2g}"
        rows.add_row(
            test.name, status(test.status), test.source, str(test.goldens), str(test.within), largest, test.reason
        )
    print_table(rows)


def _stated(stated: Sequence[StatedRow]) -> None:
    names = ("threads", "ms")
    rows = table("model", "tool", "source", "device", "backend", *names, "", title="stated by others", numeric=names)
    for row in stated:
        which, value = row.latency.headline
        count = "" if row.threads is None else str(row.threads)
        notes = which if row.validity is None else f"{which} ({row.validity})"
        rows.add_row(
            row.model, row.tool, row.source, row.device or "", row.backend or "", count, f"{value:.2f}", notes
        )  # fmt: skip
    print_table(rows)
