"""Scheme auto on LiteRT files: what of a file is left in float, and the search on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from edgedistill.artifacts import Graph
from edgedistill.quant import search as searches
from edgedistill.quant.calibration import Calibration
from edgedistill.quant.litert_mixed import MixedFile
from edgedistill.quant.search import Judge, Kept
from edgedistill.runner import Runner, answer_in_buckets
from edgedistill.searches import SearchReport
from edgedistill.targets.tflite.runtime import call_of, interpreter

_TRIAL = "trial.tflite"


class _Trials:
    """A float file in all its lengths, and in its longest alone.

    The quantizer takes its time for every length; sensitivity is measured on one.
    """

    def __init__(self, path: Path, graphs: Sequence[Graph], base: str) -> None:
        longest = graphs[-1]
        self.base = base
        self.whole = MixedFile(path.read_bytes(), base)
        self.numbers: Mapping[str, int] = self.whole.numbers
        self._longest = self.whole.of_one_length(longest.signature or longest.name)
        self._graphs = graphs
        self._path = path.with_name(_TRIAL)

    def watched(self, kept: Kept) -> Runner:
        """It in its longest length."""
        self._path.write_bytes(self._longest.quantized(kept))
        return self._opened(self._graphs[-1:])

    def made(self, kept: Kept) -> tuple[int, Runner]:
        """Its bytes, and it in all lengths."""
        size = self.whole.write(kept, self._path)
        return size, self._opened(self._graphs)

    def _opened(self, graphs: Sequence[Graph]) -> Runner:
        """The trial's file in LiteRT, one thread; it is mapped into memory by then, and goes."""
        model = interpreter(self._path, threads=1)
        self._path.unlink()
        calls = {graph.length: call_of(model, graph) for graph in graphs}
        fixed = {length: call for length, call in calls.items() if length is not None}
        return lambda inputs: answer_in_buckets(fixed, inputs)


def search(
    path: Path, graphs: Sequence[Graph], base: str, calibration: Calibration, judge: Judge
) -> tuple[Kept, SearchReport]:
    """Find the fewest weights to keep in float, and write the file so.

    Args:
        path: the float file, which is replaced.
        graphs: its signatures, the shortest first.
        base: scheme of all other weights.
        calibration: text that sensitivity is measured on.
        judge: rows and budget.

    Raises:
        ExportError: there is nothing to quantize.
        BudgetError: nothing meets the budget.
    """
    trials = _Trials(path, graphs, base)
    kept, report = searches.search(trials, calibration, judge)
    trials.whole.write(kept, path)
    return kept, report
