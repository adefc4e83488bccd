"""What early exits save in time: accuracy, layers, MACs and milliseconds of a FastBERT at every speed.

    python benchmarks/fastbert_curve.py runs/fastbert/student --data DIR --out docs/results/fastbert.json

Asks the judged rows one at a time, each at its own length, and in batches; the model without exits and every speed take
turns in every round, in another order each, and the median round counts. Wall-clock is PyTorch's on this machine, so it
is no phone's; FLOPs say less than they seem to, since small layers do not use a processor as well as large ones. With
--budget-ms it also chooses the speed that scores best on the development rows within so many milliseconds a text, by
the time that each exit was measured to take. A page with the table and the curve's plot is written beside the JSON.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import compare
import torch
from recipe_costs import answers_at

from edgedistill import files
from edgedistill.data.batches import Encoded
from edgedistill.data.task_data import TaskData, load_task_data
from edgedistill.data.tasks import find_task
from edgedistill.errors import EdgeDistillError
from edgedistill.evaluate import batches_of
from edgedistill.models.answers import answer
from edgedistill.models.early_exit import answer_early
from edgedistill.models.fastbert import FastBertForSequenceClassification
from edgedistill.models.loading import load
from edgedistill.training.exit_clock import milliseconds
from edgedistill.training.exits import SPEEDS, ask_exits, calibrate, candidates, curve, point, speeds_of

WHOLE = "without exits"


def main() -> None:
    """Measure and write."""
    options = _options()
    torch.set_num_threads(options.threads)
    model, data = _opened(options)
    dev, judged = ask_exits(model, data.dev, data), ask_exits(model, data.judged, data)
    speeds = sorted({*SPEEDS, *speeds_of(dev, 5), float(model.config.speed)})
    texts = range(min(options.texts, len(data.judged)))
    alone = [data.judged.batch([row]).student for row in texts]  # type: ignore[arg-type]
    batches = [data.judged.batch(rows).student for rows in batches_of(_lengths(alone), options.batch, is_mixed=True)]  # type: ignore[arg-type]
    one, many = (_times(model, speeds, asked, len(alone), options.rounds) for asked in (alone, batches))
    costs = milliseconds(model, data.judged, len(alone), options.rounds)
    chosen = None
    if options.budget_ms is not None:
        chosen = calibrate(candidates(dev), budget=options.budget_ms, costs=costs).speed
    whole = answers_at(options.student, judged, 0.0)
    rows = [
        {
            **found.model_dump(),
            "gain": compare.gain(whole, answers_at(options.student, judged, found.speed)),
            "ms_alone": statistics.median(one[found.speed]),
            f"ms_in_{options.batch}": statistics.median(many[found.speed]),
            "rounds_alone": one[found.speed],
            f"rounds_in_{options.batch}": many[found.speed],
        }
        for found in curve(judged, speeds)
    ]
    without = {"alone": one[WHOLE], f"in_{options.batch}": many[WHOLE]}
    results = {
        **compare.about(), "task": data.task.name, "threads": options.threads, "batch": options.batch,
        "judged_rows": len(data.judged), "texts": len(alone), "rounds": options.rounds,
        "metric": data.task.metric, "own_speed": model.config.speed,
        "ms_without_exits": {way: statistics.median(rounds) for way, rounds in without.items()},
        "rounds_without_exits": without, "ms_to_exit": costs,
        "budget_ms": options.budget_ms, "speed_for_budget": chosen,
        "judged_at_budget": None if chosen is None else point(judged, chosen).model_dump(), "judged": rows,
    }  # fmt: skip
    files.write_json(options.out, results)
    _plot(options.out.with_suffix(".svg"), results)
    page = _markdown(results, options.out.with_suffix(".svg").name)
    files.write_text(options.out.with_suffix(".md"), page)
    print(page)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("student", type=Path, help="folder that `distill fastbert` made")
    parser.add_argument("--data", type=Path, help="folder of the task's files; from the Hub when not given")
    parser.add_argument("--out", type=Path, required=True, help="JSON to write")
    parser.add_argument("--texts", type=int, default=256, help="texts to time")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--limit", type=int, help="the --limit of the training run: the same development rows")
    parser.add_argument("--budget-ms", type=float)
    return parser.parse_args()


def _opened(options: argparse.Namespace) -> tuple[FastBertForSequenceClassification, TaskData]:
    found = load(options.student)
    if found.card is None or not isinstance(found.model, FastBertForSequenceClassification):
        raise SystemExit(f"'{options.student}' is no student of the recipe fastbert.")
    task = find_task(str(found.card.task.name))
    data = load_task_data(
        task, options.data, found.tokenizer, max_length=found.card.task.max_length, seed=found.card.seed,
        limit=options.limit,
    )  # fmt: skip
    return found.model, data


def _lengths(alone: Sequence[Encoded]) -> list[int]:
    return [encoded.input_ids.shape[1] for encoded in alone]


def _times(
    model: FastBertForSequenceClassification,
    speeds: Sequence[float],
    asked: Sequence[Encoded],
    texts: int,
    rounds: int,
) -> dict[float | str, list[float]]:
    """Milliseconds a text of every speed, and of the model without exits: one for each round, rising."""
    ways: dict[float | str, Callable[[Encoded], object]] = {WHOLE: lambda encoded: answer(model, encoded)}
    for speed in speeds:
        ways[speed] = lambda encoded, speed=speed: answer_early(model, encoded, speed)  # type: ignore[misc]
    taken: dict[float | str, list[float]] = {name: [] for name in ways}
    with torch.inference_mode():
        for number in range(rounds + 1):  # the first round warms up
            order = random.Random(number).sample(list(ways.items()), len(ways))
            for name, ask in order:
                started = time.perf_counter()
                for encoded in asked:
                    ask(encoded)
                if number:
                    taken[name].append(1000 * (time.perf_counter() - started) / texts)
    return {name: sorted(round(value, 4) for value in values) for name, values in taken.items()}


def _ms(rounds: Sequence[float]) -> str:
    return f"{statistics.median(rounds):.2f} ({rounds[0]:.2f} to {rounds[-1]:.2f})"


def _markdown(results: dict[str, Any], plot: str) -> str:
    whole, without, batch = results["ms_without_exits"], results["rounds_without_exits"], results["batch"]
    own = results["own_speed"]
    lines = [
        "# Early exits",
        "",
        f"A FastBERT on {results['task']} at every speed: what it scores on the {results['judged_rows']} judged rows, "
        f"the layers that a text takes, and milliseconds a text in PyTorch, threads: {results['threads']}, over "
        f"{results['texts']} of them: one at a time, and in batches of {batch} that shrink as texts leave. All in "
        f"turns, in another order each, the median of {results['rounds']} rounds and their range. FLOPs are those of a "
        f"text's layers and exits. The difference is to speed 0, in points, with its paired 95 % interval over rows. "
        f"The development rows chose speed {own:g}, in bold.",
        "",
        f"Measured {results['created']} by `{results['command']}`. Without exits: {_ms(without['alone'])} ms alone, "
        f"{_ms(without[f'in_{batch}'])} in {batch}.",
        "",
        f"| speed | {results['metric']} | difference | layers | FLOPs fewer "
        f"| ms alone | faster | ms in {batch} | faster |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in results["judged"]:
        alone, many = row["ms_alone"], row[f"ms_in_{batch}"]
        speed = f"**{own:g}**" if row["speed"] == own else f"{row['speed']:g}"
        ratios = [f"{whole[way] / ms:.2f}x" for way, ms in (("alone", alone), (f"in_{batch}", many))]
        lines.append(
            f"| {speed} | {row['score']:.4f} | {compare.told(row['gain'])} | {row['mean_layers']:.2f} "
            f"| {row['speedup']:.2f}x | {_ms(row['rounds_alone'])} | {ratios[0]} | {_ms(row[f'rounds_in_{batch}'])} "
            f"| {ratios[1]} |"
        )
    return "\n".join(
        [*lines, "", f"![score over milliseconds]({plot})", "", compare.footnote(results["environment"]), ""]
    )


def _plot(path: Path, results: dict[str, Any]) -> None:
    """The score over a text's milliseconds, a dot for every speed; the cross is the model without exits."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.2), layout="constrained")
    panel = figure.subplots()
    whole = next(row["score"] for row in results["judged"] if row["speed"] == 0)  # no text leaves early
    for way in ("alone", f"in_{results['batch']}"):
        found = sorted((row[f"ms_{way}"], row["score"]) for row in results["judged"])
        (line,) = panel.plot(*zip(*found, strict=True), "o-", label=way.replace("_", " batches of "), markersize=3)
        panel.plot(results["ms_without_exits"][way], whole, "x", color=line.get_color())
    panel.set_xlabel("milliseconds a text (cross: without exits)")
    panel.set_ylabel(results["metric"])
    panel.legend()
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    try:
        main()
    except EdgeDistillError as error:
        raise SystemExit(str(error)) from error
