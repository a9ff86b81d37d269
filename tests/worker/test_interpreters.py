"""The worker in users' interpreters: by path, under another name, on Python 3.9 and newer."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OLDEST = (3, 9)
ASK = "import sys; print(*sys.version_info[:2], sys.implementation.name)"

ATTACH = """
import sys
sys.path.insert(0, sys.argv[1])
import of_another_name
run = of_another_name.attach()
run.beat(step=1, loss=0.5)
with run.phase("eval"):
    pass
print(run.attached, run.should_stop, "supervisor" in sys.modules)
from of_another_name import mounts, page_reading
from of_another_name.imports import recorder
print(page_reading.read_page(sys.argv[2] + "/rank-0").step)
recorder.record(sys.argv[1] + "/record")
print("modules" in recorder.read(sys.argv[1] + "/record"))
run.finish(step=1)
"""


def interpreters() -> list[str]:
    """The Pythons of this machine that are new enough, one for each version."""
    names = [f"python3.{minor}" for minor in range(OLDEST[1], 20)]
    found = [shutil.which(name) for name in (*names, "pypy3")]
    found += map(str, sorted(Path.home().glob(".pyenv/versions/3.*/bin/python")))
    by_version = {}
    for path in filter(None, (sys.executable, *found)):
        said = subprocess.run([path, "-c", ASK], capture_output=True, text=True, check=False)
        words = said.stdout.split()
        if said.returncode == 0 and (int(words[0]), int(words[1])) >= OLDEST:
            by_version.setdefault(" ".join(words), path)
    return list(by_version.values())


@pytest.mark.parametrize("python", interpreters())
def test_attach_by_path_under_another_name(python: str, tmp_path: Path) -> None:
    """attach() warns of nothing, writes page and record, and imports no `supervisor`."""
    shutil.copytree(ROOT / "supervisor" / "worker", tmp_path / "of_another_name")
    heartbeats = tmp_path / "heartbeats"
    heartbeats.mkdir()
    environment = {"PATH": os.environ["PATH"], "SUPERVISOR_HEARTBEAT": str(heartbeats)}
    done = subprocess.run(
        [python, "-W", "error", "-c", ATTACH, str(tmp_path), str(heartbeats)],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.stdout.split(), done.stderr) == (["True", "False", "False", "1", "True"], "")
