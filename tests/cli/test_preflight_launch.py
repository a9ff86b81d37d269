"""What `supervisor check` reports of the next attempts' launches."""

import sys
from pathlib import Path

import pytest

from supervisor.cli.preflight.finding import Level
from supervisor.cli.preflight.findings import launching
from supervisor.config.model import RunConfig

# A console script of this environment.
TORCHRUN = str(Path(sys.executable).with_name("torchrun"))


@pytest.mark.parametrize(
    ("command", "mode", "level", "text"),
    [
        ([sys.executable, "-u", "train.py"], "auto", Level.OK, "is parked"),
        ([sys.executable, "train.py"], "cold", Level.OK, "launch.mode: cold"),
        ([TORCHRUN, "train.py"], "auto", Level.OK, "is parked"),
        (["bash", "train.sh"], "auto", Level.OK, "bash is not Python"),
        (["bash", "train.sh"], "warm", Level.WARN, "bash is not Python"),
        (["/bin/ls", "train.py"], "warm", Level.WARN, "/bin/ls is not Python"),
    ],
)
def test_whether_launches_can_be_warm(
    command: list[str], mode: str, level: Level, text: str
) -> None:
    """Only a configured but impossible warm launch is a warning."""
    config = RunConfig.model_validate({"command": command, "launch": {"mode": mode}})
    found = launching(config)
    assert found.level is level
    assert text in found.text
