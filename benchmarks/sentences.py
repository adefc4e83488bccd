"""A corpus for distillation from any raw text: single sentences, as short as those of the task.

    python benchmarks/sentences.py TEXT... --out corpus.txt

TEXT is .txt or .txt.gz, a paragraph on every line. Sentences of 30 to 160 characters are kept, shuffled with a fixed
seed, and the first 60,000 of them written, one a line.
"""

from __future__ import annotations

import argparse
import random
import re
from pathlib import Path

from edgedistill import files
from edgedistill.data.readers import text_lines

SHORTEST, LONGEST = 30, 160
END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")


def main() -> None:
    """Write the corpus."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path, nargs="+", metavar="TEXT")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=60_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    paragraphs = (line.strip() for path in options.texts for _, line in text_lines(path))
    found = [part for line in paragraphs for part in END.split(line) if SHORTEST <= len(part) <= LONGEST]
    random.Random(options.seed).shuffle(found)
    files.write_text(options.out, "".join(f"{sentence}\n" for sentence in found[: options.count]))


if __name__ == "__main__":
    main()
