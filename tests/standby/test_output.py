"""The output of a parked interpreter's imports is kept until "go", also without memfd_create."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.refusals import refusing

ROOT = Path(__file__).resolve().parents[2]
PRINTS = """
import os, sys
from supervisor.standby import output
if len(sys.argv) > 1:
    output._SHARED_MEMORY = sys.argv[1]
try:
    kept = output.Output()
except output.Refused as refused:
    print(refused, flush=True)
    sys.exit(3)
os.write(2, b"from C ")
print("from Python", flush=True)
kept.open_log(None)
kept.give()
"""


def printed(*words: str, prefix: list[str]) -> "subprocess.CompletedProcess[str]":
    """Run the program above."""
    command = [*prefix, sys.executable, "-c", PRINTS, *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("how", [None, "ENOSYS", "EPERM"])
def test_what_is_printed_is_kept_in_memory(how: str | None) -> None:
    """The output is in a memory file or an unnamed one in /dev/shm, and nothing stays there."""
    done = printed(prefix=refusing(how) if how else [])
    assert (done.returncode, done.stdout, done.stderr) == (0, "from C from Python\n", "")
    assert [name for name in os.listdir("/dev/shm") if "parked-output" in name] == []


def test_where_there_is_no_memory_it_says_so(tmp_path: Path) -> None:
    """Without memory the next attempt is launched cold, for this reason."""
    done = printed(str(tmp_path / "none"), prefix=refusing("EPERM"))
    assert done.returncode == 3
    assert "no memfd_create here" in done.stdout
