"""What single values of a configuration are made of; which keys have them is in `sections.py`."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from supervisor.config.durations import DURATION_PATTERN, parse_duration
from supervisor.config.problems import nearest
from supervisor.worker.adapters import ADAPTERS

_DURATION_SCHEMAS: list[dict[str, Any]] = [
    {"type": "number", "minimum": 0},
    {"type": "string", "pattern": DURATION_PATTERN},
]


def _positive(value: object) -> float:
    """A duration above zero. Raises ValueError."""
    if (seconds := parse_duration(value)) <= 0:
        raise ValueError("must be more than 0s")
    return seconds


def _automatic(value: object) -> object:
    """A duration above zero, or the word auto. Raises ValueError."""
    if value == "auto":
        return value
    try:
        return _positive(value)
    except ValueError as error:
        raise ValueError(f"{error}, or auto") from None


def _without_nul(word: str) -> str:
    """The kernel ends an argument at a NUL byte. Raises ValueError."""
    if "\0" in word:
        raise ValueError("contains a NUL byte")
    return word


def _of_adapters(value: object) -> object:
    """`auto`, `none`, or a list of adapters. Raises ValueError."""
    known = ", ".join(ADAPTERS)
    if isinstance(value, bool):
        raise ValueError("YAML reads on and off as true and false: write auto or none")
    if value in ("auto", "none"):
        return value
    if isinstance(value, str) and value in ADAPTERS:
        raise ValueError(f"must be a list: [{value}]")
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError(f"expected auto, none or a list of adapters; the adapters are {known}")
    for name in value:
        if name not in ADAPTERS:
            meant = nearest(str(name), ADAPTERS)
            suffix = f" (did you mean {meant}?)" if meant else ""
            raise ValueError(f"{name} is no adapter; the adapters are {known}{suffix}")
    return tuple(dict.fromkeys(value))


Duration = Annotated[
    float, BeforeValidator(_positive), WithJsonSchema({"anyOf": [*_DURATION_SCHEMAS]})
]
AutoDuration = Annotated[
    float | Literal["auto"],
    BeforeValidator(_automatic),
    WithJsonSchema({"anyOf": [{"const": "auto"}, *_DURATION_SCHEMAS]}),
]
Count = Annotated[int, Field(strict=True, ge=1)]
Word = Annotated[str, AfterValidator(_without_nul), WithJsonSchema({"type": ["string", "number"]})]
Integrate = Annotated[
    Literal["auto", "none"] | tuple[str, ...],
    BeforeValidator(_of_adapters),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": ["auto", "none"]},
                {"type": "array", "items": {"enum": list(ADAPTERS)}, "minItems": 1},
            ]
        }
    ),
]
SignalName = Literal["TERM", "USR1", "HUP", "INT"]


def with_step_group(pattern: str | None, example: str) -> str | None:
    """A regular expression that names a step. Raises ValueError."""
    if pattern is None:
        return None
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"not a regular expression: {error}") from None
    if "step" not in compiled.groupindex:
        raise ValueError(f"has no group named step; for example: '{example}'")
    return pattern
