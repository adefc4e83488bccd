"""Where the checkpoint that an artifact was exported from may be found again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edgedistill.artifacts import Source

_STUDENT = "student"


def checkpoint_folders(source: Source, artifact: Path) -> Iterator[Path]:
    """Folders here that may hold the weights `source` names, likeliest first. Whoever opens one compares the hash.

    They are: the path as the manifest has it, the run folder the artifact lies in, and where the path is a Hub id the
    copies in the Hub's cache. Nothing is downloaded.

    Args:
        source: of the artifact's manifest.
        artifact: its folder.
    """
    given, run = Path(source.path), artifact.resolve().parent
    local = [given, *(place / name for place in (run.parent, run) for name in dict.fromkeys((given.name, _STUDENT)))]
    seen: set[Path] = set()
    for folder in [*local, *_cached(source.path)]:
        if (folder / "config.json").is_file() and folder.resolve() not in seen:
            seen.add(folder.resolve())
            yield folder


def _cached(hub_id: str) -> list[Path]:
    """Every revision of a Hub id in the cache, the one that a download would give first; none for another path."""
    from huggingface_hub import snapshot_download

    try:
        current = Path(snapshot_download(hub_id, local_files_only=True))
    except (OSError, ValueError):  # not in the cache, or no Hub id at all
        return []
    return [current, *sorted(folder for folder in current.parent.iterdir() if folder != current)]
