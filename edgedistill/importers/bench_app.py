"""This project's in-app benchmark (android_bench/app): the result.json that it writes beside its request."""

from __future__ import annotations

from edgedistill.errors import DataError
from edgedistill.importers._text import is_throttled, of_samples
from edgedistill.phones.protocol import RunResult
from edgedistill.reports import StatedRow

_TO_MS = 1e-6


def recognises(text: str) -> bool:
    """Whether it is a JSON object with single times and the runtime's origin."""
    return text.lstrip().startswith("{") and '"samples_ns"' in text and '"runtime_build"' in text


def rows(text: str) -> list[StatedRow]:
    """The one row of a result.

    Raises:
        DataError: one that failed, or one without times, as an emulator's is.
        ValidationError: not a whole result.
    """
    result = RunResult.model_validate_json(text)
    if result.status == "failed":
        raise DataError(f"it failed there: {result.error}")
    if result.source == "qemu" or not result.samples_ns:
        raise DataError("it holds no times: it ran on an emulator, or was asked for answers only.")
    samples = [_TO_MS * sample for sample in result.samples_ns]
    return [
        StatedRow(
            model=result.id,
            tool="bench_app",
            source="phone" if result.source == "phone" else "host",
            backend=f"{result.runtime} {result.runtime_version}".strip(),
            threads=result.threads,
            latency=of_samples(samples, _ms(result.first_ns), _ms(result.load_ns)),
            peak_memory_bytes=result.peak_rss_bytes,
            is_throttled=is_throttled(samples),
            samples_ms=tuple(samples),
            notes=(f"The first inference and {result.warm_up_runs} more were left out as warm-up.",),
        )
    ]


def _ms(nanoseconds: int | None) -> float | None:
    return None if nanoseconds is None else _TO_MS * nanoseconds
