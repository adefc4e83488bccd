"""The content as one HTML file that loads nothing and runs nothing."""

from __future__ import annotations

from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from edgedistill import __version__
from edgedistill.pages import charts, exit_charts, numbers, phone_charts
from edgedistill.pages.content import MARKS, WORDS, Content
from edgedistill.pages.highlights import per_label, reason_of, rung_rows, shares, tiles, timing_of
from edgedistill.pages.timings import short_names

_FILTERS = ("size", "milliseconds", "times", "number", "count", "parameters", "percent", "seconds")


def html(content: Content) -> str:
    """The whole page. Every value that comes from a file is escaped."""
    style = files("edgedistill.pages").joinpath("templates/style.css").read_text(encoding="utf-8")
    page = _environment().get_template("page.html.j2")
    return page.render(content=content, version=__version__, tiles=tiles(content), style=Markup(style))


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("edgedistill.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update({name: getattr(numbers, name) for name in _FILTERS})
    environment.globals.update(
        WORDS=WORDS,
        MARKS=MARKS,
        charts=charts,
        phone_charts=phone_charts,
        exit_charts=exit_charts,
        timing_of=timing_of,
        per_label=per_label,
        reason_of=reason_of,
        rung_rows=rung_rows,
        shares=shares,
        short_names=short_names,
    )
    return environment
