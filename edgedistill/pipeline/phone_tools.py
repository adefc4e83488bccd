"""bench with a user's own benchmark program on the phone: real inputs in, its own words read by its importer."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgedistill import files, importers
from edgedistill.artifacts import Graph, read_manifest, resolve_inside
from edgedistill.errors import DeviceError
from edgedistill.measure.inputs import inputs_of
from edgedistill.measure.modes import WARM_UP_RUNS, WARM_UP_SECONDS, Mode
from edgedistill.phones import driver, tools
from edgedistill.phones.adb import quoted
from edgedistill.phones.driver import Ticks
from edgedistill.phones.preflight import mask_of
from edgedistill.phones.printable import printable
from edgedistill.phones.requests import weight_files
from edgedistill.phones.tools import TARGETS, Tool
from edgedistill.phones.workplace import HERE, NOTING_PID, PID, Workplace
from edgedistill.pipeline.subjects import Subject
from edgedistill.progress import say
from edgedistill.reports import PhoneCard, StatedRow

_SLACK_SECONDS = 600.0


def times_by_tools(
    work: Workplace,
    wanted: Sequence[Tool],
    subjects: Sequence[Subject],
    threads: Sequence[int],
    cores: Sequence[int],
    mode: Mode,
    card: PhoneCard,
    seed: int,
    ticks: Ticks | None,
) -> tuple[list[StatedRow], list[str]]:
    """Every tool over every artifact, length and thread count that it runs.

    Returns:
        Rows as the tools state them, and a sentence for each artifact that none of them runs.

    Raises:
        DeviceError: a tool failed; its last words are in the message. Or the phone did not come back.
        DataError: a tool printed what its importer does not know.
    """
    rows, notes = [], []
    for tool in wanted:
        fitting = [subject for subject in subjects if subject.target == TARGETS[tool.name]]
        if not fitting:
            notes.append(f"{tool.name} runs {TARGETS[tool.name]} artifacts, and none is here.")
        graphs = list(_graphs(fitting))
        beyond = [subject.name for subject in fitting if subject not in {one for one, _, _ in graphs}]
        notes += [f"{tool.name} runs one graph for a length; {name} has several." for name in beyond]
        for subject, length, graph in graphs:
            for count in threads:
                how = tools.Settings(
                    count, mode.min_runs, mode.min_seconds, mode.max_seconds, WARM_UP_RUNS, WARM_UP_SECONDS
                )
                say(f"{tool.name}: {subject.name}, {length} tokens, {count} threads")
                found = driver.again(work, _Run(work, tool, subject, graph, length, how, cores, seed), ticks)
                rows += [_told(row, subject, length, count, card) for row in found]
    return rows, notes


def _graphs(subjects: Sequence[Subject]) -> Iterator[tuple[Subject, int, Graph]]:
    for subject in subjects:
        manifest = read_manifest(subject.folder)
        for length in subject.lengths:
            fitting = [graph for graph in manifest.graphs if graph.length in (None, length)]
            if fitting and len(manifest.graphs) == len({graph.length for graph in manifest.graphs}):
                yield subject, length, fitting[0]


def _told(row: StatedRow, subject: Subject, length: int, threads: int, card: PhoneCard) -> StatedRow:
    known = {"model": subject.name, "source": "phone", "device": card.model, "length": length, "threads": threads}
    return row.model_copy(update={**known, "backend": row.backend or subject.target, "size_bytes": subject.size_bytes})


class _Run:
    """One run of a tool, to be called again where the connection breaks."""

    def __init__(
        self, work: Workplace, tool: Tool, subject: Subject, graph: Graph, length: int, how: tools.Settings,
        cores: Sequence[int], seed: int,
    ) -> None:  # fmt: skip
        self._work, self._tool, self._subject, self._graph = work, tool, subject, graph
        self._length, self._how, self._cores, self._seed = length, how, cores, seed

    def __call__(self) -> tuple[StatedRow, ...]:
        run = f"r-{secrets.token_hex(8)}"
        try:
            with tempfile.TemporaryDirectory() as scratch:
                self._copy(run, Path(scratch))
                output = Path(scratch) / self._tool.name
                output.write_text(self._output(run), encoding="utf-8")
                return importers.read(output, "phone")
        finally:
            self._work.clean(run)

    def _copy(self, run: str, scratch: Path) -> None:
        self._work.place(self._tool.path, self._program)
        model = resolve_inside(self._subject.folder, self._graph.file)
        self._work.place(model, f"{run}/{self._model}")
        for file in weight_files(read_manifest(self._subject.folder)):
            weights = resolve_inside(self._subject.folder, file)
            self._work.place(weights, f"{run}/{weights.name}")
        (arrays,) = inputs_of(self._subject.texts, self._length, self._seed, count=1)
        for name, data in tools.input_files(self._tool.name, self._graph, arrays).items():
            local = scratch / Path(name).name
            local.write_bytes(data)
            self._work.place(local, f"{run}/{name}")

    @property
    def _program(self) -> str:
        return f"t-{files.sha256_of(self._tool.path)[:16]}"

    @property
    def _model(self) -> str:
        return f"model{Path(self._graph.file).suffix}"

    def _output(self, run: str) -> str:
        (arrays,) = inputs_of(self._subject.texts, self._length, self._seed, count=1)
        inputs = list(tools.input_files(self._tool.name, self._graph, arrays))
        words = tools.command(self._tool.name, self._graph, self._model, inputs, self._length, self._how)
        bound = ["taskset", mask_of(self._cores)] if self._cores else []
        started = quoted(PID, *bound, f"{HERE}/{self._program}", *words)
        script = f"cd {quoted(f'{HERE}/{run}')} && {NOTING_PID} {started}"
        answer = self._work.phone.shell(script, self._how.max_seconds + self._how.warm_up_seconds + _SLACK_SECONDS)
        if answer.code:
            said = [line.strip() for line in (answer.err + answer.out).splitlines() if line.strip()]
            last = printable(said[-1][:300].rstrip(".")) if said else "it said nothing"
            raise DeviceError(
                f"{self._tool.name} ended with exit code {answer.code} on phone {self._work.phone.serial} at "
                f"{self._subject.name}: {last}. What was measured before is kept: mend the tool or leave it out, and "
                "give the same command again."
            )
        return answer.out + answer.err
