"""The `{placeholders}` of `resume.args`. Other braces (JSON in an argument) stay as they are."""

import re
from collections.abc import Iterable
from pathlib import Path

PLACEHOLDERS = ("checkpoint", "checkpoint_dir", "name", "step")
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def unknown_placeholders(argument: str) -> tuple[str, ...]:
    """The names in `{…}` of an argument that are no placeholders."""
    return tuple(name for name in _PLACEHOLDER.findall(argument) if name not in PLACEHOLDERS)


def expand_arguments(
    arguments: Iterable[str], *, checkpoint: str, step: int | None
) -> tuple[str, ...]:
    """The arguments with `{checkpoint}`, `{checkpoint_dir}`, `{name}` and `{step}` filled in.

    `{checkpoint_dir}` is the checkpoint's parent, `{name}` its last part. An unknown step is "".
    """
    path = Path(checkpoint)
    values = {
        "checkpoint": checkpoint,
        "checkpoint_dir": str(path.parent),
        "name": path.name,
        "step": "" if step is None else str(step),
    }
    return tuple(
        _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), argument)
        for argument in arguments
    )
