"""`supervisor check` says whether the programs of hooks can be started, and starts none."""

from pathlib import Path

import pytest

from supervisor.cli.preflight.finding import Level
from supervisor.cli.preflight.hook_programs import hook_programs
from supervisor.config.model import RunConfig


def found(folder: Path, **hooks: list[str]) -> list[tuple[Level, str, str | None]]:
    """What `check` finds; a hook runs where the command runs."""
    config = RunConfig.model_validate({"command": ["x"], "cwd": str(folder), "hooks": hooks})
    return [(one.level, one.text, one.do) for one in hook_programs(config)]


def test_hooks_that_can_be_started(tmp_path: Path) -> None:
    """One finding names them all; without hooks there is none. Nothing is run."""
    script = tmp_path / "hook.sh"
    script.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    script.chmod(0o755)
    hooks = {"held": ["./hook.sh"], "finished": ["sh", "hook.sh"]}
    assert found(tmp_path, **hooks) == [(Level.OK, "held, finished", None)]
    assert found(tmp_path) == []
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("command", "says", "do"),
    [
        (["no-such-program"], "no-such-program is not found", "install"),
        (["./missing.sh"], "missing.sh does not exist", "correct"),
        (["./text.sh"], "./text.sh is not executable", "chmod +x"),
        (["./folder"], "./folder is a directory", "name the program"),
        (["sh", "missing.sh"], "missing.sh does not exist (seen from", "correct"),
        (["python3", "missing.py"], "missing.py does not exist (seen from", "correct"),
    ],
)
def test_a_hook_that_cannot_be_started(
    tmp_path: Path, command: list[str], says: str, do: str
) -> None:
    """Only `before_launch` stands in the way of the run: it would wait for it for ever."""
    (tmp_path / "text.sh").write_text("#!/bin/sh\n")
    (tmp_path / "folder").mkdir()
    for hook, level in (("before_launch", Level.FAIL), ("held", Level.WARN)):
        ((found_level, text, hint),) = found(tmp_path, **{hook: command})
        assert found_level is level
        assert text.startswith(f"{hook}: ")
        assert says in text
        assert hint is not None
        assert do in hint
