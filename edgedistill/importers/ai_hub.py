"""Qualcomm AI Hub Models: perf.yaml of a model, in its form by precision and in the older list of models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edgedistill.config import parse_yaml
from edgedistill.errors import ConfigError, DataError
from edgedistill.importers._text import MEGA, is_number, scaled, whole
from edgedistill.reports import StatedLatency, StatedRow

_CITATION = "Qualcomm AI Hub Models, perf.yaml"
_NOTE = "AI Hub states one estimated time per job: neither percentiles nor the number of runs."


def recognises(text: str) -> bool:
    """Whether it has the keys that only these files have."""
    return "performance_metrics:" in text and ("precisions:" in text or "models:" in text)


def rows(text: str) -> list[StatedRow]:
    """One row for every job that passed.

    Raises:
        DataError: not YAML, or no job in it passed.
    """
    try:
        told = parse_yaml(text, "perf.yaml")
    except ConfigError as error:
        raise DataError(f"{error}") from error
    told = told if isinstance(told, dict) else {}
    found = [*_by_precision(_dict(told, "precisions")), *_by_model(told.get("models"))]
    if not found:
        raise DataError("no job in it passed with a time.")
    return found


def _by_precision(precisions: dict[str, Any]) -> Iterator[StatedRow]:
    for precision in precisions:
        components = _dict(_dict(precisions, precision), "components")
        for component in components:
            metrics = _dict(_dict(components, component), "performance_metrics")
            for device in metrics:
                for path, job in _dict(metrics, device).items():
                    if isinstance(job, dict) and is_number(job.get("inference_time_milliseconds")):
                        ms, memory = job["inference_time_milliseconds"], _dict(job, "estimated_peak_memory_range_mb")
                        share = _share(_dict(job, "layer_counts"), ("cpu", "total"))
                        yield _row(component, device, f"{path} {precision}", job, ms, (memory, MEGA), share)


def _by_model(models: object) -> Iterator[StatedRow]:
    """The older form, in microseconds and bytes."""
    for model in models if isinstance(models, list) else ():
        for entry in _list(model, "performance_metrics"):
            device = str(_dict(entry, "reference_device_info").get("name") or "unknown")
            for path, job in entry.items() if isinstance(entry, dict) else ():
                if isinstance(job, dict) and is_number(job.get("inference_time")):
                    ms, memory = scaled(job["inference_time"], 1e-3) or 0.0, _dict(job, "estimated_peak_memory_range")
                    share = _share(_dict(job, "layer_info"), ("layers_on_cpu", "total_layers"))
                    how = f"{path} {job.get('precision') or ''}".strip()
                    yield _row(str(model.get("name")), device, how, job, ms, (memory, 1), share)


def _row(
    name: str, device: str, how: str, job: dict[str, Any], ms: float, memory: tuple[dict[str, Any], int],
    share: float | None,
) -> StatedRow:  # fmt: skip
    unit, peak = job.get("primary_compute_unit"), memory[0].get("max")
    return StatedRow(
        model=name,
        tool="ai_hub",
        source="published",
        device=device,
        backend=f"{how} on {unit}" if unit else how,
        latency=StatedLatency(mean_ms=float(ms)),
        peak_memory_bytes=whole(float(peak), memory[1]) if isinstance(peak, int | float) and is_number(peak) else None,
        fallback_share=share if unit not in {None, "CPU"} else None,
        citation=f"{_CITATION}, job {job['job_id']}" if job.get("job_id") else _CITATION,
        notes=(_NOTE,),
    )


def _share(counts: dict[str, Any], names: tuple[str, str]) -> float | None:
    on_cpu, total = counts.get(names[0], 0), counts.get(names[1])
    return on_cpu / total if isinstance(on_cpu, int) and isinstance(total, int) and total > 0 else None


def _dict(value: object, key: str) -> dict[str, Any]:
    inner = value.get(key) if isinstance(value, dict) else None
    return inner if isinstance(inner, dict) else {}


def _list(value: object, key: str) -> list[Any]:
    inner = value.get(key) if isinstance(value, dict) else None
    return inner if isinstance(inner, list) else []
