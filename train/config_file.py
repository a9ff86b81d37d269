"""From YAML and `--set` to a TrainConfig; reports all problems at once. It must name no key."""

import dataclasses
import difflib
import math
import types
import typing
from enum import Enum
from pathlib import Path
from typing import Any

import yaml

from train.config import TrainConfig, impossible_values
from train.errors import ConfigurationError


def load_config(path: Path, overrides: list[str]) -> TrainConfig:
    """Read the file, apply `section.key=value` overrides, check everything.

    Raises ConfigurationError (exit 78) with all problems of the file, or of the values.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(f"the config {path} cannot be read: {reason}") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"the config {path} is not YAML: {error}") from error
    if document is None:
        document = {}
    if not isinstance(document, dict):
        raise ConfigurationError(f"the config {path} must be a mapping of keys to values")
    problems: list[str] = []
    for override in overrides:
        _apply_override(document, override, problems)
    config = typing.cast(TrainConfig, _build(TrainConfig, document, "", problems))
    if not problems:
        problems.extend(impossible_values(config))
    if problems:
        plural = "problem" if len(problems) == 1 else "problems"
        raise ConfigurationError(f"{path}: {len(problems)} {plural}", tuple(problems))
    return config


def _apply_override(document: dict[Any, Any], override: str, problems: list[str]) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        problems.append(f"--set {override}: write it as section.key=value")
        return
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        problems.append(f"--set {override}: {text!r} is not a YAML value")
        return
    *sections, name = key.split(".")
    target = document
    for section in sections:
        inner = target.get(section)
        if inner is None:
            inner = target[section] = {}
        if not isinstance(inner, dict):
            problems.append(f"--set {override}: {section} is not a section")
            return
        target = inner
    target[name] = value


def _build(cls: type[Any], values: dict[Any, Any], prefix: str, problems: list[str]) -> Any:
    """Make a section from its YAML values. Wrong values are listed; their keys keep the default."""
    hints = typing.get_type_hints(cls)
    known: dict[str, Any] = {}
    for name, value in values.items():
        key = f"{prefix}{name}"
        if name not in hints:
            near = difflib.get_close_matches(str(name), hints, n=1)
            problems.append(f"{key}: unknown key" + (f"; did you mean {near[0]}?" if near else ""))
            continue
        hint = hints[name]
        if dataclasses.is_dataclass(hint):
            if value is None:
                continue
            if not isinstance(value, dict):
                problems.append(f"{key}: must be a section with keys, got {value!r}")
                continue
            known[name] = _build(typing.cast(type[Any], hint), value, f"{key}.", problems)
            continue
        try:
            known[name] = _convert(value, hint)
        except ValueError as error:
            problems.append(f"{key}: must be {error}, got {value!r}")
    return cls(**known)


def _convert(value: Any, hint: Any) -> Any:
    """Convert one value to its type. Raises ValueError that says what would be right."""
    if isinstance(hint, types.UnionType):
        wanted: list[str] = []
        for member in typing.get_args(hint):
            if member is type(None):
                if value is None:
                    return None
                wanted.append("null")
                continue
            try:
                return _convert(value, member)
            except ValueError as error:
                wanted.append(str(error))
        raise ValueError(" or ".join(wanted))
    if typing.get_origin(hint) is dict:
        if isinstance(value, dict) and all(isinstance(name, str) for name in value):
            return dict(value)
        raise ValueError("a mapping of names to values")
    if issubclass(hint, Enum):
        allowed = [str(member.value) for member in hint]
        if value in allowed:
            return hint(value)
        raise ValueError("one of " + ", ".join(allowed) if len(allowed) > 1 else allowed[0])
    if hint is float:
        return _convert_float(value)
    # Python takes True for an int; in a config it is never meant as a number
    if isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    names = {int: "a whole number", bool: "true or false", str: "text"}
    raise ValueError(names[hint])


def _convert_float(value: Any) -> float:
    # YAML 1.1 reads 3e-4 (no dot) as text
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = math.nan
        if math.isfinite(number):
            return number
    raise ValueError("a number")
