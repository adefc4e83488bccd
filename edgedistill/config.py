"""Settings: strict, frozen, documented models; YAML that only overrides them.

`Settings` is the base of every configuration. YAML cannot name code, merge or interpolate; unknown keys
and wrong types are errors that name the key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import to_jsonable_python

from edgedistill.errors import ConfigError

NAMES_CHECKPOINT = "checkpoint"
CheckpointName = Annotated[str | None, NAMES_CHECKPOINT]
"""A setting that names a checkpoint (Hub id or folder): its weights decide what is trained, as a file's bytes do."""


class Settings(BaseModel):
    """Base of every configuration: immutable, no unknown keys, each field's docstring is its description."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        protected_namespaces=(),
    )

    @model_validator(mode="before")
    @classmethod
    def _over_defaults(cls, values: Any) -> Any:
        """What is left out below a key keeps this model's own default, not the inner model's."""
        if not isinstance(values, Mapping):
            return values
        merged = dict(values)
        for name, field in cls.model_fields.items():
            if isinstance(field.default, BaseModel) and isinstance(merged.get(name), Mapping):
                merged[name] = _merged(field.default.model_dump(), merged[name])
        return merged


S = TypeVar("S", bound=BaseModel)


class _Loader(yaml.SafeLoader):
    """Safe YAML in which `5e-5` is a number and `no` is a word, as everywhere else, and keys may not repeat."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:bool"]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][-+]?\d+)$"),
    list("-+0123456789."),
)


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    repeated = {str(key) for key in keys if keys.count(key) > 1}
    if repeated:
        raise yaml.constructor.ConstructorError(
            None, None, f"key '{sorted(repeated)[0]}' is written twice", node.start_mark
        )
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def parse_yaml(text: str, origin: str) -> Any:
    """Parse one YAML document.

    Raises:
        ConfigError: it is not YAML; the message names `origin` and the line.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{origin}, line {mark.line + 1}" if mark else origin
        raise ConfigError(f"{where}: not valid YAML: {getattr(error, 'problem', None) or error}.") from error


def read_yaml(path: Path, template: str = "NAME") -> dict[str, Any]:
    """Read a YAML file that holds one mapping.

    Args:
        path: the file.
        template: what `edgedistill config` prints an example of.

    Raises:
        ConfigError: the file is missing, not UTF-8, not YAML, or not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"no file '{path}'. Print a template with: edgedistill config {template}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read '{path}': {error}.") from error
    value = parse_yaml(text, str(path))
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"'{path}' must hold keys and values, not a {type(value).__name__}.")
    return value


def with_settings(values: Mapping[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """Apply `--set key.sub=value` texts over a mapping; values are read as YAML.

    Raises:
        ConfigError: an assignment has no `=`, or goes below something that is not a mapping.
    """
    result = _copied(values)
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set takes key=value, not '{assignment}'. Example: --set optim.lr=2e-5")
        *parents, last = key.strip().split(".")
        place = result
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise ConfigError(f"--set {key}: '{parent}' is a single value and has nothing below it.")
        place[last] = parse_yaml(text, f"--set {key}")
    return result


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    both = {
        key: _merged(under[key], value)
        for key, value in over.items()
        if isinstance(value, Mapping) and isinstance(under.get(key), Mapping)
    }
    return {**under, **over, **both}


def _copied(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copied(value) if isinstance(value, Mapping) else value for key, value in values.items()}


def build(model: type[S], values: Mapping[str, Any], origin: str) -> S:
    """Validate `values` as `model`.

    Raises:
        ConfigError: with one line per wrong key: where, what was found, what is allowed.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(_explained(model, error, origin))) from error


def _explained(model: type[BaseModel], error: ValidationError, origin: str) -> list[str]:
    lines = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            known = _keys_at(model, problem["loc"][:-1])
            near = [name for name in known if str(problem["loc"][-1]) in name.split("_")]
            meant = f" Did you mean {' or '.join(near)}?" if near else ""
            listed = f"There are: {', '.join(known)}." if known else "There are none here."
            lines.append(f"{origin}: unknown key '{key}'.{meant} {listed}")
        elif problem["type"] == "missing":
            lines.append(f"{origin}: '{key}' is required.")
        else:
            message = problem["msg"].removeprefix("Value error, ")
            is_whole = isinstance(problem["input"], dict) and problem["type"] == "value_error"  # several keys together
            found = "" if not key or is_whole else f" (found {problem['input']!r})"
            lines.append(f"{origin}: {f'{key}: ' if key else ''}{message}{found}.")
    return lines


def _keys_at(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    for part in location:
        field = model.model_fields.get(str(part))
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        model = inner
    return sorted(model.model_fields)


def as_commented_yaml(model: type[BaseModel], values: BaseModel | None = None, indent: str = "") -> str:
    """The settings of `model` as YAML a person can edit, each under its description.

    Args:
        model: the configuration class.
        values: what to print; the defaults when not given.
        indent: what to put before every line.
    """
    lines: list[str] = []
    for name, field in model.model_fields.items():
        value = getattr(values, name) if values is not None else field.get_default(call_default_factory=True)
        lines += [f"{indent}# {line}" for line in (field.description or "").splitlines()]
        if isinstance(value, BaseModel):
            lines += [f"{indent}{name}:", as_commented_yaml(type(value), value, indent + "  ").rstrip("\n")]
        elif field.is_required() and values is None:
            lines.append(f"{indent}{name}:    # required")
        else:
            lines.append(f"{indent}{name}: {_flow(value)}")
    return "\n".join(lines) + "\n"


def _flow(value: Any) -> str:
    plain = to_jsonable_python(sorted(value) if isinstance(value, set | frozenset) else value)
    text = yaml.safe_dump(plain, default_flow_style=True, width=10_000, allow_unicode=True, sort_keys=False)
    return text.removesuffix("...\n").strip()
