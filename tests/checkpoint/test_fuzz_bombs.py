"""Files made to exhaust memory or time: the validator answers within bounds of both."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkpoint.bombs import BOMBS, MIB, STATE
from tests.checkpoint.fuzzing import TIME_LIMIT_S
from tests.checkpoint.test_child import children_s

pytestmark = pytest.mark.timeout(TIME_LIMIT_S)
ROOT = Path(__file__).resolve().parents[2]
# The memory for JSON (`bounded_json`), for the longest file read at once, and for the allocator.
LIMIT_BYTES = 400 * MIB
LIMIT_S = 20.0
# These files are whole and only large, or nothing in them shows damage.
NOT_BAD = {
    "deflated",
    "crowded",
    "as_many_as_are_parsed",
    "wide_text",
    "empty_objects",
    "slot_records",
    "long_header",
    "dcp_opcodes",
    "gzipped",
    "dcp_shared",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb(name: str, tmp_path: Path) -> None:
    """A bomb gets an answer within the memory and time limits, and is valid only if it is whole."""
    folder = tmp_path / "checkpoint-5"
    folder.mkdir()
    (folder / "training_state.json").write_bytes(STATE if name == "slot_records" else b"{}")
    # A second file makes the folder a checkpoint, so that the validator reads the bomb.
    if name != "slot_records":
        (folder / "random_state.pkl").write_bytes(b"\x80\2N.")
    BOMBS[name](folder)
    began = children_s()
    done = subprocess.run(
        [sys.executable, "-m", "tests.checkpoint.bombs", name, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "BOMB_LIMIT_BYTES": str(LIMIT_BYTES)},
        capture_output=True,
        text=True,
        check=False,
    )
    took_s = children_s() - began
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    print(name, answer["valid"][:3], answer["reasons"][:3], answer["grown"] // MIB, "MiB", took_s)
    assert answer["grown"] < LIMIT_BYTES
    assert took_s < LIMIT_S
    assert answer["entries"] >= 1
    if name not in NOT_BAD:
        assert answer["valid"][0] is not True, answer["reasons"]
