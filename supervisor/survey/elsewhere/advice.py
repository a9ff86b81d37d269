r"""What to write into the configuration when a trainer saves elsewhere: `checkpoints: {…}`.

It also recognises a directory that is new at each start, which no configuration can name.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from supervisor.survey.elsewhere.kept_out import real_path
from supervisor.survey.elsewhere.records import DirectorySaves
from supervisor.survey.nested_folders import nested_name, tools_of

_DATE = r"(?:19|20)\d\d-?[01]\d-?[0-3]\d"
_TIME = r"[0-2]\d[-_:.]?[0-5]\d(?:[-_:.]?[0-5]\d)?"
# The tool, the part of the path that it makes anew, and how to tell it where to save instead. The
# first row that matches counts. {} becomes the directory that stays.
_TOOLS: tuple[tuple[str, re.Pattern[str], str], ...] = (
    (
        "Lightning",
        re.compile(r"(?:^|/)version_\d+(?:/|$)"),
        "`ModelCheckpoint(dirpath='{}')`",
    ),
    (
        "Hydra",
        re.compile(rf"(?:^|/){_DATE}/{_TIME}(?:/|$)"),
        "`hydra.run.dir={}`",
    ),
    (
        "ultralytics",
        re.compile(r"(?:^|/)runs/(?:[^/]+/)+weights$"),
        "",
    ),
    (
        "",
        re.compile(
            # HF's and TensorBoard's Nov28_12-00-00_host, stable-baselines3's PPO_3, wandb's ids.
            rf"(?:^|/)(?:[A-Z][a-z]{{2}}\d\d_{_TIME}[^/]*|(?:[^/]*[-_.])?{_DATE}[-_T. ]{_TIME}[^/]*"
            rf"|{_DATE}|(?:A2C|DDPG|DQN|PPO|SAC|TD3)_\d+)(?:/|$)"
        ),
        "",
    ),
)
_MOST_ARGUMENTS_BYTES = 64 << 10
_PLAIN = re.compile(r"[A-Za-z./][\w./=+@-]*", re.ASCII)
_WORDS_OF_YAML = frozenset(("null", "true", "false", "yes", "no", "on", "off", "y", "n"))


def is_new_each_start(
    directory: Path, places: Iterable[Path], working_directories: Iterable[Path]
) -> bool:
    """Whether a trainer's next start saves into another directory, by the directory's path.

    The part of the path that an argument names stays the same. Reads ultralytics' `args.yaml`
    beside a `weights` directory.
    """
    bases = [real_path(path) for path in (*places, *working_directories)]
    inside = [base for base in bases if directory.is_relative_to(base)]
    nearest = max(inside, key=lambda base: len(base.parts), default=None)
    below = str(directory if nearest is None else directory.relative_to(nearest))
    return any(pattern.search(below) for _, pattern, _ in _TOOLS) or _is_never_reused(directory)


def _is_never_reused(directory: Path) -> bool:
    """Whether ultralytics' `args.yaml` says that it makes a new directory if one exists already."""
    if directory.name != "weights":
        return False
    try:
        with os.fdopen(
            os.open(directory.parent / "args.yaml", os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW),
            "rb",
        ) as file:
            return b"exist_ok: false" in file.read(_MOST_ARGUMENTS_BYTES)
    except OSError:
        return False


def advice(saves: DirectorySaves, supervised: Path, cwd: Path) -> str:
    r"""The line to write: `checkpoints: {directory: out, pattern: 'weights-(?P<step>\d+)\.bin'}`.

    For a directory that is new at each start it names the one above, if the supervisor looks below
    that, or says what to tell the trainer. Paths inside
    the trainer's `cwd` are relative to it.
    """
    if not saves.is_new_each_start:
        return _line(_relative(saves.directory, cwd), saves.suggested_pattern)
    shown = _relative(saves.directory, cwd)
    above = staying_above(saves)
    if above is not None:
        return f"{_line(_relative(above, cwd), None)} ({shown} is new at each start)"
    stays = saved_to = _staying(saves.directory, supervised, cwd)
    fitting = ((one, found) for one in _TOOLS if (found := one[1].search(shown)) is not None)
    (tool, _, how), match = next(fitting, (_TOOLS[-1], None))
    if tool == "Hydra" and match is not None:
        saved_to = str(Path(stays, shown[match.end() :]))
    if tool == "ultralytics" or (match is None and saves.directory.name == "weights"):
        folder = _without_number(saves.directory.parent, cwd)
        tool, how = "ultralytics", f"`project={folder.parent} name={folder.name} exist_ok=True`"
        saved_to = str(folder / "weights")
    told = f" ({tool}: {how.replace('{}', stays)})" if how else ""
    return (
        f"{shown} is new at each start: give the trainer a directory that stays{told}, and write "
        f"{_line(saved_to, saves.suggested_pattern)}"
    )


def staying_above(saves: DirectorySaves) -> Path | None:
    """The directory that stays, if the supervisor looks for such saves below it; else None.

    It is the one above Lightning's `version_K`, or above ultralytics' `train7`.
    """
    folder = saves.directory
    versions = [one for one in folder.parents if re.fullmatch(r"version_\d+", one.name)]
    above = versions[0].parent if versions else folder.parent.parent
    names = (nested_name(name, tools_of(folder.relative_to(above))) for name in saves.names)
    return above if saves.suggested_pattern is None and all(names) else None


def _staying(directory: Path, supervised: Path, cwd: Path) -> str:
    """The directory to give to the trainer: the supervised one if it fits, else `checkpoints`."""
    looked_at = _relative(supervised, cwd)
    is_taken = looked_at == "." or directory.is_relative_to(supervised)
    return "checkpoints" if is_taken else looked_at


def _without_number(directory: Path, cwd: Path) -> Path:
    path = Path(_relative(directory, cwd))
    return path.with_name(re.sub(r"(?<=[a-z])-?\d+\Z", "", path.name))


def _relative(path: Path, cwd: Path) -> str:
    for base in (cwd, real_path(cwd)):
        if path.is_relative_to(base):
            return str(path.relative_to(base))
    return str(path)


def _line(directory: str, pattern: str | None) -> str:
    parts = [f"directory: {_yaml(directory)}"]
    if pattern is not None:
        parts.append(f"pattern: {_quoted(pattern)}")
    return f"`checkpoints: {{{', '.join(parts)}}}`"


def _yaml(text: str) -> str:
    """A YAML value to stand within braces, quoted if it has to be."""
    is_plain = _PLAIN.fullmatch(text) is not None and text.lower() not in _WORDS_OF_YAML
    return text if is_plain else _quoted(text)


def _quoted(text: str) -> str:
    if text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    return '"' + text.encode("unicode_escape").decode().replace('"', '\\"') + '"'
