"""Splits of a task from the Hugging Face Hub, through `datasets`.

Downloads and Arrow files go where every Hugging Face library keeps them: below `HF_HOME`
(default ~/.cache/huggingface).
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property
from typing import Any, get_args

from edgedistill.data.readers import class_names
from edgedistill.data.table import Table
from edgedistill.data.tasks import PARQUET, HubSource, Split, Task
from edgedistill.errors import DataError
from edgedistill.progress import say


class HubTables:
    """A task's source on the Hub."""

    label_names = None

    def __init__(self, task: Task, hub: HubSource, keep: Collection[str]) -> None:
        """Name the source; nothing is downloaded before it is asked for.

        Args:
            task: whose splits to give.
            hub: where they are.
            keep: columns whose values are wanted.
        """
        self._task, self._hub, self._keep = task, hub, keep
        self.name = f"dataset '{hub.path}'" + (f" ({hub.name})" if hub.name else "")
        self._tables: dict[Split, Table] = {}

    @cached_property
    def splits(self) -> tuple[Split, ...]:
        """The task's splits that the dataset has."""
        found = tuple(split for split in get_args(Split) if self._task.splits.get(split) in self._data)
        if not found:
            raise DataError(
                f"{self.name} has none of the splits {', '.join(self._task.splits.values())}. "
                f"There are: {', '.join(self._data)}. Name them under 'splits' in a task file."
            )
        return found

    def table(self, split: Split) -> Table:
        """The rows of one split."""
        if split not in self._tables:
            data = self._data[self._task.splits[split]]
            if not len(data):
                raise DataError(f"{self.name}, split '{split}' has no rows. Give other data with --data DIR.")
            kept = data.select_columns([column for column in data.column_names if column in self._keep])
            rows = list(enumerate(kept, start=1))
            origin = f"{self.name}, split '{split}'"
            self._tables[split] = Table(origin, "row", tuple(data.column_names), rows, class_names(data.features))
        return self._tables[split]

    @cached_property
    def _data(self) -> Any:
        from datasets import load_dataset
        from huggingface_hub.errors import OfflineModeIsEnabled

        say(f"loading {self.name} from the Hugging Face Hub or its cache")
        try:
            if self._hub.revision == PARQUET:
                return load_dataset(self._hub.path, data_files=self._parquet_files(), revision=PARQUET)
            return load_dataset(self._hub.path, self._hub.name, revision=self._hub.revision)
        except OfflineModeIsEnabled as error:
            raise self._unreachable("the Hub is switched off (HF_HUB_OFFLINE is set)") from error
        except Exception as error:  # the Hub client's HTTP errors have had a different base in every major version
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise self._unreachable(first) from error

    def _parquet_files(self) -> dict[str, list[str]]:
        """Files of the Hub's parquet branch, which lie at <config>/<split>/<number>.parquet."""
        from huggingface_hub import HfApi

        config = self._hub.name or "default"
        wanted = self._task.splits.values()
        files: dict[str, list[str]] = {}
        for path in sorted(HfApi().list_repo_files(self._hub.path, repo_type="dataset", revision=PARQUET)):
            folder, _, name = path.rpartition("/")
            split = folder.removeprefix(f"{config}/")
            if folder.startswith(f"{config}/") and split in wanted and name.endswith(".parquet"):
                files.setdefault(split, []).append(path)
        if not files:
            raise ValueError(f"its branch {PARQUET} has no files {config}/<split>/*.parquet")
        return files

    def _unreachable(self, reason: str) -> DataError:
        return DataError(
            f"cannot load {self.name} from the Hugging Face Hub: {reason}. Check the connection, or give the files "
            f"with --data DIR ({', '.join(f'{split}.jsonl' for split in self._task.splits.values())})."
        )
