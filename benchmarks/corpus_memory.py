"""Memory of a streamed corpus against its rows: read from a URL, cut, tokenised, and one epoch of masked batches.

    python benchmarks/corpus_memory.py [--rows 20000,200000]

Each size runs in a process of its own, with every file taken for a large one. Memory that is the process's own
(anonymous) is what has to stay flat; pages of mapped files are the system's. Writes docs/results/corpus.json and
corpus.md.
"""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path
from typing import Any

from cache_memory import memory, peak
from own_process import by_size

from edgedistill import files

RESULTS = Path(__file__).parent.parent / "docs" / "results"
WORDS, LENGTH, BATCH = 12, 32, 256


def main() -> None:
    """Measure every size, or the one size of this process."""
    about = by_size(__file__, "20000,200000", _measured)
    if about is None:
        return
    files.write_json(RESULTS / "corpus.json", about)
    files.write_text(RESULTS / "corpus.md", _page(about))


def _measured(count: int) -> dict[str, Any]:
    from transformers import BertTokenizer

    from edgedistill.data import corpus, rows
    from edgedistill.data.masking import Masked, vocabulary_of

    corpus.IN_MEMORY_BYTES = rows.IN_MEMORY_BYTES = 0
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"word{number}" for number in range(2000))]
    tokenizer = BertTokenizer(vocab={name: number for number, name in enumerate(names)})
    tokenizer(["word1"])
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "corpus.txt"
        _write(text, count)
        begun = memory("RssAnon")
        with peak() as reading:
            train, _, _ = corpus.held_out(corpus.load_corpus(f"file://{text}"), seed=0)
            pieces = corpus.in_pieces(train, tokenizer, LENGTH)
            found = rows.Rows(pieces, None, tokenizer, max_length=LENGTH)
        masked, seen = Masked(found, vocabulary_of(tokenizer)), 0
        with peak() as training:
            for batch in masked.epoch(0, 0, BATCH):
                seen += len(batch)
        return {
            "rows": count,
            "rows_of_the_epoch": seen,
            "text_bytes": text.stat().st_size,
            "own_bytes_before": begun,
            "own_bytes_reading": reading["peak"],
            "own_bytes_epoch": training["peak"],
        }


def _write(path: Path, count: int) -> None:
    dice = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        for _ in range(count):
            file.write(" ".join(f"word{dice.randrange(2000)}" for _ in range(WORDS)) + "\n")


def _page(about: dict[str, Any]) -> str:
    lines = [
        "# Memory of a streamed corpus",
        "",
        f"Measured {about['created'][:10]} on {about['environment']['cpu']} by `{about['command']}` in "
        f"{about['seconds']} s: text of {WORDS} words a row from a `file://` URL, every file taken for a large one.",
        "",
        "| rows | text, MB | own memory before, MB | reading, cutting and tokenising: most own, MB | "
        "one epoch of masked batches: most own, MB |",
        "|---:|---:|---:|---:|---:|",
    ]
    names = ("text_bytes", "own_bytes_before", "own_bytes_reading", "own_bytes_epoch")
    for size in about["sizes"]:
        lines.append(f"| {size['rows']:,} | {' | '.join(f'{size[name] / 1e6:,.1f}' for name in names)} |")
    first, last = about["sizes"][0], about["sizes"][-1]
    if first is not last:
        more = last["rows"] - first["rows"]
        reading, epoch, text = ((last[name] - first[name]) / more for name in (names[2], names[3], names[0]))
        lines += [
            "",
            f"From {first['rows']:,} to {last['rows']:,} rows own memory grew by {reading:.0f} bytes a row while "
            f"reading and by {epoch:.0f} in the epoch, whose order is held; a row is {text:.0f} bytes of text.",
        ]
    return "\n".join([*lines, "", f"Environment: `{json.dumps(about['environment'])}`", ""])


if __name__ == "__main__":
    main()
