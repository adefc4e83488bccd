"""What there is to choose from, and the settings of each: `edgedistill ls` and `edgedistill config`.

Listing imports no torch: recipes and targets are read by their files' first lines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

from edgedistill import plugins
from edgedistill.errors import UnknownNameError

if TYPE_CHECKING:
    from pydantic import BaseModel

Kind = Literal["recipes", "targets", "schemes", "tasks", "apps", "rules"]
KINDS: tuple[Kind, ...] = get_args(Kind)


def summaries(kind: str) -> dict[str, str]:
    """Every recipe, target, scheme, task, app or rule of doctor with its one line.

    Raises:
        UnknownNameError: `kind` is none of these.
    """
    if kind == "recipes":
        return plugins.summaries("recipes")
    if kind == "targets":
        return plugins.summaries("targets")
    if kind == "apps":
        return plugins.summaries("apps")
    if kind == "schemes":
        from edgedistill.quant.schemes import SCHEMES

        return {scheme.name: scheme.summary for scheme in SCHEMES.values()}
    if kind == "rules":
        return plugins.summaries_in("pipeline/doctor/rules")
    if kind == "tasks":
        from edgedistill.data.tasks import TASKS

        return {name: task.summary for name, task in sorted(TASKS.items())}
    raise UnknownNameError("list", kind, KINDS)


def config_yaml(name: str) -> str:
    """The settings of `name` as commented YAML.

    Args:
        name: a recipe, a target, an app, a task, `check` for the gate's tolerances, or `road` or `task` for an empty
            form.

    Raises:
        UnknownNameError: there is nothing of that name.
        MissingExtraError: the recipe or target needs a package that is not installed.
    """
    from edgedistill.config import as_commented_yaml

    model, values = _settings_of(name)
    return as_commented_yaml(model, values)


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema of the same settings.

    Raises:
        UnknownNameError, MissingExtraError: as for `config_yaml`.
    """
    return _settings_of(name)[0].model_json_schema()


def _settings_of(name: str) -> tuple[type[BaseModel], BaseModel | None]:
    from edgedistill.data.tasks import TASKS, Task

    if name == "road":
        from edgedistill.pipeline.plan import Road

        return Road, None
    if name == "task":
        return Task, None
    if name == "check":
        from edgedistill.gate.tolerances import Tolerances

        return Tolerances, None
    if name in TASKS:
        return Task, TASKS[name]
    kinds: tuple[plugins.Kind, ...] = ("recipes", "targets", "apps")
    for kind in kinds:
        if name in plugins.names(kind):
            config: type[BaseModel] = plugins.load(kind, name).Config
            return config, None
    known = {"check", "road", "task", *TASKS, *(name for kind in kinds for name in plugins.names(kind))}
    raise UnknownNameError("recipe, target, app or task", name, known)
