"""plan: which student shapes meet a budget of time and bytes, measured before anything is trained."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgedistill import resources
from edgedistill.artifacts import environment, now
from edgedistill.config import with_settings
from edgedistill.errors import ConfigError
from edgedistill.pipeline import trials
from edgedistill.pipeline.shape_clocks import MODE, Clock, clock_of
from edgedistill.pipeline.shape_plan import ScaledTime, ShapePlan, ShapeRow, ShapeStatus
from edgedistill.pipeline.shape_question import Place, Question, question
from edgedistill.pipeline.shape_search import next_shape, scaled, widest
from edgedistill.pipeline.shape_text import Text, readers_of
from edgedistill.pipeline.shapes import RECIPE, VOCABULARY, Candidate, candidates
from edgedistill.progress import progress, say

if TYPE_CHECKING:
    from edgedistill.models.loading import Checkpoint
    from edgedistill.reports import BenchRow

_SHAPES = 4
_ORDER: tuple[ShapeStatus, ...] = ("fits", "too_slow", "not_timed", "too_large")
_LENGTH_OF_RECIPE = 128
_FASTEST = "int8_dynamic"
_BUSY = 1.5
"""A p90 this many times the median is the machine's doing, not the model's."""


def plan(
    teacher: str | Path,
    *,
    target: str,
    scheme: str = "int8_weight",
    length: int = 128,
    threads: int = 1,
    p90_ms: float | None = None,
    size: int | str | None = None,
    device: str = "host",
    affinity: str | None = None,
    bundle: Path | None = None,
    aar: Path | None = None,
    shapes: int = _SHAPES,
    task: str | None = None,
    data: Path | str | None = None,
    corpus: Path | str | None = None,
    settings: Sequence[str] = (),
    seed: int = 0,
) -> ShapePlan:
    """List student shapes with their bytes, and time those that could be the largest within the budget.

    Where text is given, by a task or a corpus, vocabularies cut to it are listed beside the teacher's whole one.
    Timed are untrained MobileBERTs around the teacher, converted as `export` does: blocks decide speed, not what was
    learnt in them. What cannot meet the bytes is never timed. What was not timed has a time scaled from those that
    were, on the same device.

    Args:
        teacher: folder or Hub id of a BERT-family checkpoint; "minilm" is the embedded encoder.
        target: runtime; see `edgedistill ls targets`.
        scheme: precision.
        length: tokens of every text, and the model's one fixed length.
        threads: given to the runtime.
        p90_ms: longest p90 latency that is acceptable; none: any.
        size: most bytes of model files, a number or a text such as "6MB"; none: any.
        device: where to time; "host" is this machine, "adb" or "adb:SERIAL" a phone.
        affinity: cores of the phone: big, little or a hexadecimal mask; none: as it likes.
        bundle: what runs on the phone, as `bench` takes it; none: the one in the cache.
        aar: Android library that runs there in its stead.
        shapes: most shapes to convert and time.
        task: name of a task, or the path of its YAML file, whose training rows vocabularies are cut to.
        data: folder of the task's files; none: from the Hub.
        corpus: text that vocabularies are cut to, .txt or .txt.gz.
        settings: `key=value` texts of the recipe mobilebert, kept for every shape, such as "num_layers=4".
        seed: of the texts and the order of turns.

    Returns:
        The plan; its `best` is none where nothing that was timed meets the budget, and `nearest` comes nearest.

    Raises:
        ConfigError: an unknown target, scheme or setting, a number that makes no sense, a size that is none.
        ExportError: a target that does not do the scheme, or does not take these students.
        CheckpointError: a teacher that cannot be read or is no BERT family.
        DataError: text that cannot be read.
        DeviceError: no usable phone, an emulator, or it went away and did not come back.
        NoRuntimeError: the target's runtime is not there for this computer, which times it.
        MissingExtraError: the target's packages are not installed.
    """
    text = Text(task, None if data is None else Path(data), None if corpus is None else Path(corpus))
    place = Place(device, affinity, bundle, aar)
    asked = question(text, place, target, scheme, length, threads, p90_ms, size, shapes, settings, seed)
    clock = clock_of(device, target, length, threads, seed, affinity, bundle, aar)
    checkpoint = _teacher(teacher, length)
    assert checkpoint.kind != "embedding"
    readers = readers_of(checkpoint, text, settings, length, seed)
    models = {entries: reader.model for entries, reader in readers.items()}
    found = candidates(models, checkpoint.kind, settings, target, asked.schemes, length)
    limit = asked.budget.size_bytes
    affordable = [one for one in found if limit is None or one.sizes[scheme] <= limit]
    sizes, timed = _timed(readers, widest(affordable), asked, clock) if affordable else ({}, {})
    seen = [(one, timed[one.name].latency.p90_ms) for one in found if one.name in timed]
    rows = [_row(one, asked, sizes.get(one.name), timed.get(one.name), seen) for one in found]
    rows.sort(key=lambda row: (_ORDER.index(row.status), -row.block_parameters))
    best = rows[0] if rows[0].status == "fits" else None
    return ShapePlan(
        created=now(),
        command=asked.command(str(teacher)),
        environment=environment(),
        teacher=checkpoint.source,
        target=target,
        scheme=scheme,
        length=length,
        threads=threads,
        device=clock.device,
        phone=clock.phone,
        budget=asked.budget,
        rows=tuple(rows),
        best=best.name if best else None,
        nearest=None if best else _nearest(rows, asked).name,
        next_commands=_next(str(teacher), checkpoint, best, asked) if best else (),
        notes=(*_notes(checkpoint, length, rows, clock), *(() if best else _smaller(checkpoint, asked))),
    )


def _teacher(teacher: str | Path, length: int) -> Checkpoint:
    """The checkpoint; with a classifier of two classes where it has no head that a phone could run."""
    from edgedistill.models import loading
    from edgedistill.models.answers import longest_input

    place = resources.checkpoint(teacher)
    checkpoint = loading.load(place)
    if checkpoint.kind == "generation":
        raise ConfigError(f"'{teacher}' is an encoder-decoder that writes text. Give an encoder, such as its teacher.")
    if not checkpoint.model.config.num_hidden_layers:
        raise ConfigError(f"'{teacher}' has no layers one above the other. Give an encoder with attention.")
    if checkpoint.kind in {"mlm", "embedding"}:
        checkpoint = loading.load(place, kind="single", labels=("0", "1"))
    if length > longest_input(checkpoint.model):
        longest = longest_input(checkpoint.model)
        raise ConfigError(f"--length is {length}; the teacher '{teacher}' has only {longest} positions.")
    return checkpoint


def _timed(
    readers: dict[int | None, Checkpoint], affordable: Sequence[Candidate], asked: Question, clock: Clock
) -> tuple[dict[str, int], dict[str, BenchRow]]:
    """Convert the shapes that may be the answer, and time them in turns by the clock.

    Returns:
        Bytes of their files, and their times, by name.
    """
    most = min(asked.shapes, len(affordable))
    say(f"converting and timing {most} of {len(affordable)} shapes that may weigh little enough: about {25 * most} s")
    sizes: dict[str, int] = {}
    seen: list[tuple[Candidate, float]] = []
    with tempfile.TemporaryDirectory(prefix="edgedistill-plan-") as place, progress("converting", most) as tracker:
        while len(seen) < most and (chosen := next_shape(affordable, seen, asked.budget.p90_ms, most)) is not None:
            folder = Path(place) / chosen.name
            sizes[chosen.name] = trials.write(folder, readers[chosen.vocabulary], chosen, asked.cfg)
            glanced = clock.glance(folder)
            seen.append((chosen, glanced))
            tracker.advance(1, f"{chosen.name} {glanced:.1f} ms at a glance")
        rows = clock.rows([Path(place) / one.name for one, _ in seen])
    return sizes, {row.artifact: row for row in rows}


def _row(
    one: Candidate, asked: Question, size: int | None, timed: BenchRow | None, seen: Sequence[tuple[Candidate, float]]
) -> ShapeRow:
    budget = asked.budget
    weighs = one.sizes[asked.cfg.scheme] if size is None else size
    status: ShapeStatus = "not_timed"
    if budget.size_bytes is not None and weighs > budget.size_bytes:
        status = "too_large"
    elif timed is not None:
        is_slow = budget.p90_ms is not None and timed.latency.p90_ms > budget.p90_ms
        status = "too_slow" if is_slow else "fits"
    guess = scaled(one, seen) if seen and timed is None else None
    return ShapeRow(
        name=one.name,
        settings=one.settings,
        parameters=one.parameters,
        block_parameters=one.block_parameters,
        computed_bytes=one.sizes,
        measured_bytes=size,
        latency=timed.latency if timed else None,
        scaled=ScaledTime(p90_ms=round(guess[0], 3), anchors=guess[1]) if guess else None,
        validity=timed.validity if timed else None,
        is_throttled=bool(timed and timed.is_throttled),
        peak_rss_bytes=timed.peak_rss_bytes if timed else None,
        status=status,
    )


def _nearest(rows: Sequence[ShapeRow], asked: Question) -> ShapeRow:
    """The row that breaks the budget least: a timed one where there is one, since only those are known."""

    def excess(row: ShapeRow) -> tuple[bool, float]:
        limit_ms, limit_bytes = asked.budget.p90_ms, asked.budget.size_bytes
        size = row.measured_bytes or row.computed_bytes[asked.cfg.scheme]
        by_time = row.latency.p90_ms / limit_ms if row.latency and limit_ms else 0.0
        return row.latency is None, max(by_time, size / limit_bytes if limit_bytes else 0.0)

    return min(rows, key=excess)


def _next(teacher: str, checkpoint: Checkpoint, best: ShapeRow, asked: Question) -> tuple[str, ...]:
    task = checkpoint.card.task.name if checkpoint.card and checkpoint.card.task.name else "TASK"
    given = asked.text if asked.text.task else replace(asked.text, task=task)
    words = ["edgedistill", "distill", RECIPE, "--teacher", teacher, *given.words, "--out", "RUN"]
    own = [] if asked.length == _LENGTH_OF_RECIPE else [f"max_length={asked.length}"]
    kept = [setting for setting in asked.settings if not setting.startswith(f"{VOCABULARY}=")]
    for setting in (*own, *kept, *(f"{name}={value}" for name, value in best.settings.items())):
        words += ["--set", setting]
    cfg = asked.cfg
    export = ["edgedistill", "export", "RUN/student", "--target", cfg.target, "--scheme", cfg.scheme]
    return shlex.join(words), shlex.join([*export, "--length", str(asked.length)])


def _notes(checkpoint: Checkpoint, length: int, rows: Sequence[ShapeRow], clock: Clock) -> tuple[str, ...]:
    notes = [
        "Timed are untrained students: a shape decides size and speed, not how well it will learn.",
        f"Inputs are real text of exactly {length} tokens, one at a time, {MODE} mode, shapes in turns.",
        _whose(clock),
        "Sizes are of the model file with that one fixed length; computed from the parameters, measured where timed.",
    ]
    if any(row.scaled for row in rows):
        names = ", ".join(row.name for row in rows if row.latency)
        notes.append(
            f"A p90 with ~ was not measured: it is scaled by the multiplications of a text from shapes timed on the "
            f"same device ({names}), and decides nothing."
        )
    if checkpoint.is_head_new:
        notes.append("The teacher has no head of its own that can be exported: a classifier of two classes is timed.")
    if any(row.latency and row.latency.p90_ms > _BUSY * row.latency.p50_ms for row in rows):
        notes.append(
            f"A p90 is more than {_BUSY:g} times its median: other processes were busy. Ask again when they are not."
        )
    return tuple(notes)


def _smaller(checkpoint: Checkpoint, asked: Question) -> tuple[str, ...]:
    """What to ask next where nothing fits: what shrinks a student and was not varied here."""
    layers, chosen = int(checkpoint.model.config.num_hidden_layers), with_settings({}, asked.settings)
    found = [f"--set num_layers={layers // 2}"] if layers > 1 and "num_layers" not in chosen else []
    found += ["--set attention=narrow"] if "attention" not in chosen else []
    if not asked.text.words:
        found += ["--task NAME --data DIR (or --corpus FILE) for vocabularies cut to your text"]
    if asked.cfg.scheme != _FASTEST and _FASTEST in asked.schemes:
        found += [f"--scheme {_FASTEST}"]
    return (f"Smaller or faster students were not asked about; ask again with {', or '.join(found)}.",) if found else ()


def _whose(clock: Clock) -> str:
    if clock.phone is None:
        return "Times are this machine's; a phone's are others, and none is guessed from them."
    return (
        f"Times are of {clock.phone.model}, run by adb shell with rests between turns; none is of this machine. The "
        "answers there were not compared: `bench --device adb` does that with a student that is trained."
    )
