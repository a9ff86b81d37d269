"""Where an attempt's processes may save: directories in their arguments, and their open files.

Call it only from a child process. The kernel reads a command line under a lock that a hung process
may hold. A disk that does not answer holds up the rest. No function raises for an odd process or
file.
"""

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from supervisor.checkpoint.suffixes import CERTAIN_ENDINGS, POSSIBLE_ENDINGS
from supervisor.survey.elsewhere import save_options
from supervisor.system import procfs

_MOST_PROCESSES = 256
_MOST_ARGUMENTS_BYTES = 1 << 20
_MOST_FILES_OF_ONE = 4096
_MOST_SETTINGS_BYTES = 1 << 20
_MOST_SETTINGS_FILES = 16
_MOST_SCRIPT = 64 << 10
_MOST_PLACES = 64
_WEIGHTS_ENDINGS = (*CERTAIN_ENDINGS, *POSSIBLE_ENDINGS)
_VARIABLE = re.compile(r"\$(?:\{(?P<braced>[A-Za-z_]\w*)\}|(?P<bare>[A-Za-z_]\w*))", re.ASCII)
# OmegaConf's `${oc.env:SCRATCH}`, with a default or without.
_INTERPOLATED = re.compile(
    r"\$\{oc\.env:(?P<name>[A-Za-z_]\w*)(?:,(?P<default>[^}]*))?\}", re.ASCII
)
_UNKNOWN = re.compile(r"\$[{(A-Za-z_]|[{}%*?\0]|<")
_PASSED_OVER = ("/dev", "/proc", "/sys", "/run")
_CACHE_VARIABLES = (
    *("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_DATASETS_CACHE", "HF_ASSETS_CACHE"),
    *("HF_MODULES_CACHE", "TRANSFORMERS_CACHE", "DIFFUSERS_CACHE", "TORCH_HOME", "XDG_CACHE_HOME"),
    *("TORCH_EXTENSIONS_DIR", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "TRITON_HOME"),
    *("CUDA_CACHE_PATH", "NUMBA_CACHE_DIR", "KERAS_HOME", "TFDS_DATA_DIR", "TFHUB_CACHE_DIR"),
    *("NLTK_DATA", "MPLCONFIGDIR", "PIP_CACHE_DIR", "UV_CACHE_DIR", "VLLM_CACHE_ROOT"),
    *("MODELSCOPE_CACHE", "JAX_COMPILATION_CACHE_DIR", "XLA_CACHE_DIR", "WANDB_CACHE_DIR"),
    *("WANDB_ARTIFACT_DIR", "SENTENCE_TRANSFORMERS_HOME", "FLAIR_CACHE_ROOT", "TMPDIR"),
)


class CommandLine(NamedTuple):
    """A command line, and the directory that its relative paths are relative to."""

    argv: tuple[str, ...]
    cwd: Path


def processes_of(main_pid: int) -> tuple[int, ...]:
    """A process and its descendants, parents first; empty if it has ended."""
    try:
        table = [process for pid in procfs.all_pids() if (process := procfs.read_process(pid))]
    except OSError:
        return (main_pid,)
    parents = {process.pid: process.ppid for process in table}
    return tuple(procfs.descend(parents, [main_pid] if main_pid in parents else []))


def commands_of(pids: Iterable[int]) -> tuple[CommandLine, ...]:
    """The command lines of these processes and where they work now. Ended ones are left out."""
    found: dict[CommandLine, None] = {}
    for pid in list(pids)[:_MOST_PROCESSES]:
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                line = file.read(_MOST_ARGUMENTS_BYTES)
            cwd = Path(f"/proc/{pid}/cwd").readlink()
        except OSError:
            continue  # it has ended, or is another user's
        argv = tuple(os.fsdecode(part) for part in line.rstrip(b"\0").split(b"\0"))
        if line and not cwd.name.endswith(" (deleted)"):
            found[CommandLine(argv, cwd)] = None
    return tuple(found)


def working_directories(commands: Iterable[CommandLine]) -> tuple[Path, ...]:
    """The working directories of these command lines, each once."""
    return tuple(dict.fromkeys(command.cwd for command in commands))


def places(
    argvs: Sequence[Sequence[str]], cwds: Sequence[str | Path], environment: Mapping[str, str]
) -> tuple[Path, ...]:
    """The directories named by command lines, their settings files and the environment.

    `cwds`: the working directory of each command line. `environment`: the trainer's, for `~` and
    `$VARIABLE`. If only the trainer knows a part of a path (`out/${now:%H-%M}`), the path is cut
    before that part. The paths are absolute, may not exist, and are at most 64, each once.
    """
    found: dict[Path, None] = {}
    for argv, cwd in zip(argvs, cwds, strict=True):
        variables = [
            value
            for name, value in environment.items()
            if "/" in value and save_options.is_directory_variable(name)
        ]
        for value in (*_named(argv, Path(cwd), environment), *variables):
            path = _place(value, Path(cwd), environment)
            if path is not None:
                found[path] = None
    return tuple(found)[:_MOST_PLACES]


def cache_directories(environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Where libraries put what they download or compile, by the trainer's environment."""
    given = [environment[name] for name in _CACHE_VARIABLES if environment.get(name)]
    home = environment.get("HOME")
    if home:
        given += [f"{home}/{name}" for name in (".cache", ".keras", ".triton", ".nv", "nltk_data")]
    return tuple(dict.fromkeys(Path(path) for path in given if path.startswith("/")))


def open_for_writing(pids: Iterable[int]) -> tuple[Path, ...]:
    """The regular files that these processes have open for writing, each once."""
    found: dict[Path, None] = {}
    for pid in list(pids)[:_MOST_PROCESSES]:
        try:
            links = list(Path(f"/proc/{pid}/fd").iterdir())
        except OSError:
            continue  # it has ended, or is another user's
        for link in links[:_MOST_FILES_OF_ONE]:
            path = _written(link)
            if path is not None:
                found[path] = None
    return tuple(found)


def _written(link: Path) -> Path | None:
    """The file behind a descriptor, if it is regular, has a name, and may be written."""
    try:
        target = link.readlink()
        if not target.is_absolute() or target.name.endswith(" (deleted)"):
            return None  # a pipe, a socket, memory, or a file without a name
        if any(target.is_relative_to(folder) for folder in _PASSED_OVER):
            return None
        with open(link.parents[1] / "fdinfo" / link.name, encoding="ascii") as file:
            flags = re.search(r"^flags:\s*([0-7]+)$", file.read(4096), re.MULTILINE)
        if flags is None or int(flags[1], 8) & os.O_ACCMODE == os.O_RDONLY:
            return None
        return target if stat.S_ISREG(link.stat().st_mode) else None
    except (OSError, ValueError):
        return None  # it was closed meanwhile, or we may not see it


def _named(argv: Sequence[str], cwd: Path, environment: Mapping[str, str]) -> Iterator[str]:
    yield from save_options.named_in(argv)
    for name in dict.fromkeys(list(save_options.settings_files(argv))[:_MOST_SETTINGS_FILES]):
        path = _expanded(name.removeprefix("@"), environment)
        text = "" if path is None else _text(cwd / path)
        if name.startswith("@") or name.endswith(".sh"):
            # A file of arguments: one to a line (argparse), or as a shell splits them.
            text = text[:_MOST_SCRIPT].replace("\\\n", " ")
            yield from save_options.named_in(save_options.words_of(text))
        if not name.endswith(".sh"):
            yield from save_options.named_in_text(text, is_code=name.endswith(".py"))


def _text(path: Path) -> str:
    """The beginning of a regular file; "" for anything else."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return ""
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        return os.read(descriptor, _MOST_SETTINGS_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        os.close(descriptor)


def _place(value: str, cwd: Path, environment: Mapping[str, str]) -> Path | None:
    value = value.strip().removeprefix("file://")
    if "://" in value or len(value) > 4096:
        return None  # an object store
    expanded = _expanded(value, environment)
    if not expanded:
        return None
    path = Path(os.path.normpath(cwd / expanded))
    is_file = path.name.lower().endswith(_WEIGHTS_ENDINGS) and not path.is_dir()
    return path.parent if is_file else path


def _expanded(value: str, environment: Mapping[str, str]) -> str | None:
    """The value with `~` and variables filled in, cut before the first part that stays unknown."""
    home = environment.get("HOME")
    if value == "~" or value.startswith("~/"):
        if not home:
            return None
        value = home + value[1:]
    value = _INTERPOLATED.sub(
        lambda match: environment.get(match["name"], match["default"] or match[0]), value
    )
    value = _VARIABLE.sub(
        lambda match: environment.get(match["braced"] or match["bare"], match[0]), value
    )
    unknown = _UNKNOWN.search(value)
    if unknown is None:
        return value
    known, slash, _ = value[: unknown.start()].rpartition("/")
    return known + slash if slash and known else None
