"""Whether the programs of the hooks can be started; nothing is run."""

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from supervisor.cli.preflight.finding import Finding, Level
from supervisor.cli.preflight.program import working_directory
from supervisor.cli.show.advice import shell_word
from supervisor.config.model import RunConfig

_SHELLS = frozenset({"sh", "bash", "dash"})


def hook_programs(config: RunConfig) -> Iterator[Finding]:
    """A finding for each hook that cannot be started; one if all can be."""
    given, here = config.hooks.given, working_directory(config)
    is_well = True
    for name, hook in given.items():
        if (wrong := _problem(hook.command, here)) is None:
            continue
        is_well = False
        text, do = wrong
        # The run would wait for this one, and only note that another failed.
        level = Level.FAIL if name == "before_launch" else Level.WARN
        yield Finding("hooks", level, f"{name}: {text}", do)
    if given and is_well:
        yield Finding("hooks", Level.OK, ", ".join(given))


def _problem(command: Sequence[str], here: Path) -> tuple[str, str] | None:
    """What prevents the start, and what to do; None where nothing is seen.

    A hook has the supervisor's PATH, not the one of `env`.
    """
    name = command[0]
    place = here / name if "/" in name else Path(name)
    path = os.environ.get("PATH", os.defpath)
    if shutil.which(str(place), path=path) is None:
        if "/" not in name:
            return f"{name} is not found", "correct the hook's command, or install the program"
        if place.is_dir():
            return f"{name} is a directory, not a program", "name the program or script in it"
        if not place.exists():
            return f"{place} does not exist", "correct the hook's command"
        return f"{name} is not executable", f"chmod +x {shell_word(str(place))}"
    script = command[1] if len(command) > 1 else ""
    is_script = Path(name).name in _SHELLS or Path(name).name.startswith("python")
    if is_script and script.endswith((".py", ".sh")) and not (here / script).exists():
        return f"{script} does not exist (seen from {here})", "correct the hook's command"
    return None
