"""Whether the command's program can be started, and its script is there; nothing is run."""

import os
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from supervisor.cli.preflight.finding import Finding, Level
from supervisor.cli.show.advice import shell_word
from supervisor.config.model import RunConfig

_RUNNERS = {".py": "python", ".sh": "bash"}


def program(config: RunConfig) -> Finding:
    """Whether the program can be found and executed with the trainer's PATH."""
    name = config.command[0]
    path = config.env.get("PATH", os.environ.get("PATH", os.defpath))
    place = str(working_directory(config) / name) if "/" in name else name
    found = shutil.which(place, path=path)
    here = working_directory(config)
    if found is not None:
        return _script(config.command, here) or Finding("command", Level.OK, found)
    if (here / name).is_dir():
        text = f"{name} is a directory, not a program"
        return Finding("command", Level.FAIL, text, "name the program or script in it")
    runner = _RUNNERS.get(Path(name).suffix)
    if runner is not None and (here / name).is_file() and not _has_shebang(here / name):
        text = f"{name} is a script that is not executable"
        if "/" not in name:
            text = f"{name} is a script, and no program on the PATH"
        line = " ".join(shell_word(word) for word in (runner, *config.command))
        return Finding("command", Level.FAIL, text, f"write `{line}`")
    if "/" in name and Path(place).exists():
        return Finding("command", Level.FAIL, f"{name} is not executable", f"chmod +x {name}")
    hint = (
        f"for the Python of this environment, write {sys.executable}" if "python" in name else None
    )
    return Finding("command", Level.FAIL, f"{name} is not found", hint or "correct `command`")


def _has_shebang(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False


def _script(command: Sequence[str], here: Path) -> Finding | None:
    """What is wrong with the script that a program is to run; None where nothing is seen."""
    program = Path(command[0]).name
    is_python = re.fullmatch(r"python[0-9.]*t?", program) is not None
    if is_python and len(command) == 1:
        # A trainer's stdin is /dev/null, so an interactive Python ends at once, with 0.
        return Finding(
            "command", Level.FAIL, f"{command[0]} alone runs nothing", "name the script behind it"
        )
    script = next((word for word in command[1:] if not word.startswith("-")), None)
    if script is None:
        return None
    if script.endswith((".py", ".sh")) and not (here / script).exists():
        return Finding(
            "command", Level.FAIL, f"{script} does not exist (seen from {here})",
            "correct `command`, or start from the directory of this file",
        )  # fmt: skip
    is_first = command[1] == script
    is_folder = is_python and is_first and (here / script).is_dir()
    if is_folder and not (here / script / "__main__.py").exists():
        return Finding(
            "command", Level.FAIL, f"{script} is a directory without a __main__.py",
            "name the script in it, or `-m` and a module",
        )  # fmt: skip
    return None


def working_directory(config: RunConfig) -> Path:
    """Where the command runs."""
    return Path.cwd() if config.cwd is None else Path(config.cwd)
