"""Rows per second of the three ways to vary a task's text, and of the search for words to put in.

    python benchmarks/augmenters.py --task sst2 --data DIR --masked-lm CHECKPOINT --rows 2000

Processor time of one thread, on real rows: looking for candidates by word vectors and by a masked-LM, finding them
again in the cache, and drawing an epoch of mobilebert's replaced words, of tinybert's variants and of the BiLSTM's new
texts. Writes `docs/results/augmenters.json` and `augmenters.md`.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import compare
import torch

from edgedistill import files
from edgedistill.data.augment import Replaced, neighbours
from edgedistill.data.candidates import Candidates, find_candidates, masked_lm
from edgedistill.data.rewrite import Rates, Transfer
from edgedistill.data.task_data import load_task_data
from edgedistill.data.tasks import find_task
from edgedistill.data.treebank import read_tags
from edgedistill.data.variants import How, Variants

BATCH, LENGTH, CANDIDATES = 32, 64, 15


def main() -> None:
    """Measure each way on the same rows."""
    options = _options()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as cache:
        _use_cache(Path(cache))
        rows = _measured(options)
    results = {
        **compare.about(),
        "load": round(os.getloadavg()[0], 1), "rows": rows, "seed": options.seed,
    }  # fmt: skip
    files.write_json(compare.RESULTS / "augmenters.json", results)
    files.write_text(compare.RESULTS / "augmenters.md", _page(results))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--masked-lm", required=True, help="its embeddings are the word vectors too")
    parser.add_argument("--conllu", type=Path, help="parts of speech for the BiLSTM's replacements")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def _use_cache(folder: Path) -> None:
    import datasets

    datasets.config.HF_DATASETS_CACHE = folder


def _measured(options: argparse.Namespace) -> list[dict[str, Any]]:
    asked = masked_lm(options.masked_lm, _tokenizer(options.masked_lm))
    data = load_task_data(
        find_task(options.task), options.data, asked.tokenizer, max_length=LENGTH, seed=options.seed, limit=options.rows
    )
    train, found = data.train, []

    def search(has_guesses: bool) -> Candidates:
        return find_candidates(train, asked.tokenizer, asked.model, CANDIDATES, has_guesses=has_guesses)

    def timed(name: str, work: Callable[[], Any], rows: int) -> Any:
        started = time.process_time()
        result = work()
        found.append({"what": name, "rows": rows, "seconds": round(time.process_time() - started, 3)})
        return result

    candidates = timed("candidates by word vectors", lambda: search(has_guesses=False), len(train))
    timed("candidates by a masked-LM", lambda: search(has_guesses=True), len(train))
    timed("the same again, from the cache", lambda: search(has_guesses=True), len(train))
    variants = Variants(train, lambda: candidates, How(1, 0.4, options.seed), asked.tokenizer.pad_token_id or 0)
    timed("tinybert's variants", lambda: _drawn(variants.epoch(options.seed, 0, BATCH)), len(variants))
    similar = timed(
        "neighbours in the vocabulary",
        lambda: neighbours(asked.model.get_input_embeddings().weight, asked.tokenizer, train),
        len(train),
    )
    replaced = Replaced(train, similar, 0.3)
    timed("mobilebert's replaced words", lambda: _drawn(replaced.epoch(options.seed, 0, BATCH)), len(replaced))
    tags = None if options.conllu is None else read_tags(options.conllu)
    transfer = Transfer(train, 1, Rates(), tags, (asked.tokenizer, asked.tokenizer), LENGTH, options.seed)
    timed("the BiLSTM's new texts", lambda: _drawn(transfer.epoch(options.seed, 0, BATCH)), len(transfer))
    return found


def _tokenizer(path: str) -> Any:
    from edgedistill.models.loading import load

    return load(path).tokenizer


def _drawn(batches: Iterable[Any]) -> int:
    return sum(1 for _ in batches)


def _page(results: dict[str, Any]) -> str:
    lines = [
        "# Augmenters",
        "",
        f"Measured {results['created']} on {results['environment']['cpu']} by `{results['command']}`, seed "
        f"{results['seed']}: processor time of one thread, with a load of {results['load']} on the machine. Rows are "
        "those that come out, in batches of tokens ready for a model; half of tinybert's and of the BiLSTM's are the "
        "task's own.",
        "",
        "| what | rows | seconds | rows a second |",
        "|---|---:|---:|---:|",
    ]
    for row in results["rows"]:
        speed = row["rows"] / max(row["seconds"], 1e-3)
        lines.append(f"| {row['what']} | {row['rows']:,} | {row['seconds']:.2f} | {speed:,.0f} |")
    return "\n".join([*lines, "", compare.footnote(results["environment"]), ""])


if __name__ == "__main__":
    main()
