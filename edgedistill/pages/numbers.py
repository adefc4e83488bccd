"""Numbers as people read them: few digits, units, and a dash for what is not known."""

from __future__ import annotations

import math

UNKNOWN = "—"


def size(size_bytes: int | None) -> str:
    """Decimal megabytes, as app stores count."""
    if size_bytes is None:
        return UNKNOWN
    if size_bytes < 1_000_000:
        return f"{size_bytes / 1e3:.1f} kB"
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes < 1_000_000_000 else f"{size_bytes / 1e9:.2f} GB"


def milliseconds(value: float | None) -> str:
    """Three digits, more before the point where there are more."""
    if value is None:
        return UNKNOWN
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def percent(value: float | None, digits: int = 2) -> str:
    """A fraction in hundredths."""
    return UNKNOWN if value is None else f"{100 * value:.{digits}f} %"


def times(value: float | None) -> str:
    """A ratio."""
    if value is None:
        return UNKNOWN
    return f"{value:.1f}\N{MULTIPLICATION SIGN}" if value < 100 else f"{value:,.0f}\N{MULTIPLICATION SIGN}"


def number(value: float | None) -> str:
    """Any measure: whole numbers whole, small ones in powers of ten, the rest to four digits."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if value == int(value) and abs(value) < 1e7:
        return f"{int(value):,}"
    if abs(value) < 1e-3 or abs(value) >= 1e5:
        return f"{value:.1e}"
    return f"{value:.4g}"


def count(value: int | None) -> str:
    """Thousands apart."""
    return UNKNOWN if value is None else f"{value:,}"


def parameters(value: int | None) -> str:
    """Millions of parameters."""
    if value is None:
        return UNKNOWN
    return f"{value / 1e6:.2f} M" if value >= 100_000 else f"{value:,}"


def seconds(value: float | None) -> str:
    """Seconds, minutes or hours."""
    if value is None:
        return UNKNOWN
    if value < 90:
        return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
    minutes = value / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def short_hash(sha256: str) -> str:
    """Enough of a hash to tell two apart."""
    return sha256[:12]
