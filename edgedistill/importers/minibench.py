"""ExecuTorch's Android benchmark app (minibench): the JSON list that it writes; 10 warm-ups, 50 runs, means only."""

from __future__ import annotations

import json
from typing import Any

from edgedistill.errors import DataError
from edgedistill.importers._text import MEGA, is_number, last_part, whole
from edgedistill.reports import StatedLatency, StatedRow

_MEAN = "avg_inference_latency(ms)"
_TRIMMED = "trimmean_inference_latency(ms)"


def recognises(text: str) -> bool:
    """Whether it is a JSON list of its metrics."""
    return text.lstrip().startswith("[") and '"benchmarkModel"' in text


def rows(text: str) -> list[StatedRow]:
    """One row for every model and device.

    Raises:
        DataError: not whole JSON, or a model without its mean time.
    """
    try:
        metrics = json.loads(text)
    except ValueError as error:
        raise DataError(f"it is not whole JSON ({error}).") from error
    groups: dict[str, dict[str, Any]] = {}
    owners: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    for metric in metrics:
        model, device = (
            metric.get(key) if isinstance(metric, dict) else None for key in ("benchmarkModel", "deviceInfo")
        )
        if not isinstance(model, dict):
            raise DataError("an entry has no 'benchmarkModel'.")
        device = device if isinstance(device, dict) else {}
        key = json.dumps([model, device.get("device")], sort_keys=True)
        owners[key] = (model, device)
        groups.setdefault(key, {})[str(metric.get("metric"))] = metric.get("actualValue")
    return [_row(*owners[key], values) for key, values in groups.items()]


def _row(model: dict[str, Any], device: dict[str, Any], values: dict[str, Any]) -> StatedRow:
    name = last_part(str(model.get("name") or ""))
    if values.get("load_status"):
        raise DataError(f"'{name}' did not load there (load_status {values['load_status']}).")
    if not is_number(values.get(_MEAN)):
        raise DataError(f"'{name}' has no '{_MEAN}'.")
    number = {key: float(value) for key, value in values.items() if is_number(value)}
    how = [str(model[key]) for key in ("backend", "quantization") if model.get(key)]
    where = [str(device[key]) for key in ("device", "os") if device.get(key)]
    return StatedRow(
        model=name,
        tool="minibench",
        source="phone",
        device=", ".join(where) or None,
        backend=" ".join(["executorch", *how]),
        latency=StatedLatency(
            mean_ms=number[_MEAN], trimmed_mean_ms=number.get(_TRIMMED), load_ms=number.get("model_load_time(ms)")
        ),
        peak_memory_bytes=whole(number.get("ram_pss_usage(mb)"), MEGA),
        notes=("minibench writes means only, no percentile; its memory is PSS beside the model, not a peak.",),
    )
