"""report: one page about a run or a folder of artifacts, as HTML, Markdown and JSON."""

from __future__ import annotations

from pathlib import Path

from edgedistill import files, reports
from edgedistill.pages.gather import gather
from edgedistill.pages.html import html
from edgedistill.pages.markdown import markdown

PAGE = "index.html"
MARKDOWN = "report.md"
JSON = "report.json"


def report(run: Path | str, out: Path | str | None = None) -> Path:
    """Write index.html, report.md and report.json about a run.

    Nothing is run or measured again: the page says what the files in the folder say, and which are not there.

    Args:
        run: the folder that distill made, a folder of artifacts, or one artifact.
        out: folder to write to; the run itself when not given.

    Returns:
        The HTML page.

    Raises:
        ArtifactError: no such folder, or nothing in it to report about.
        StorageError: the files cannot be written.
    """
    content = gather(Path(run))
    folder = Path(out) if out is not None else Path(run)
    reports.save(content, folder / JSON)
    files.write_text(folder / MARKDOWN, markdown(content))
    return files.write_text(folder / PAGE, html(content))
