"""Commands at a fixed moment (frozen.py), as a transcript of outputs and exit codes."""

import json
import subprocess
import sys
from pathlib import Path

from tests.cli.conftest import make_environment
from tests.golden.frozen import NOW
from tests.golden.normal import Normal

FROZEN = Path(__file__).with_name("frozen.py")


def told(folder: Path, commands: list[list[str]], now: float = NOW) -> str:
    """A transcript of the commands, in `folder`; `now`: seconds since 1970."""
    environment = {**make_environment(folder), "PATH": "/usr/bin:/bin"}
    (folder / ".out").mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, str(FROZEN), ".out", str(now)],
        cwd=folder, env=environment, input=json.dumps(commands), capture_output=True, text=True,
        timeout=120, check=True,
    )  # fmt: skip
    lines, normal = [], Normal(folder)
    for call in json.loads(done.stdout):
        lines.append(f"$ supervisor {' '.join(call['argv'])}\n")
        for name in ("stdout", "stderr"):
            if text := normal.places(call[name]):
                lines.append(f"-- {name}\n{text}" + ("" if text.endswith("\n") else "\\\n"))
        lines.append(f"-- exit {call['code']}\n\n")
    return "".join(lines)
