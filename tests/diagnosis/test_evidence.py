"""Counters and free space read from the kernel's files, of both cgroup versions."""

import os
from pathlib import Path

import pytest

from supervisor.diagnosis import evidence

pytestmark = pytest.mark.timeout(30)


def written(path: Path, text: str) -> None:
    """Write a file, with its directories."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_cgroup_2_counts_with_everything_below(tmp_path: Path) -> None:
    """The count comes from `memory.events` of the process's own group."""
    written(tmp_path / "proc/41/cgroup", "0::/slurm/job_7/step_0\n")
    written(tmp_path / "cg/slurm/job_7/step_0/memory.events", "low 0\noom 5\noom_kill 3\n")
    found = evidence.read_oom_kills(41, proc=tmp_path / "proc", cgroups=tmp_path / "cg")
    assert found == 3


def test_cgroup_1_and_a_path_that_only_the_host_sees(tmp_path: Path) -> None:
    """In a container the group's path begins at the container's own mount."""
    written(tmp_path / "proc/self/cgroup", "5:cpu,memory:/docker/abc\n0::/x\n")
    control = "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"
    written(tmp_path / "cg/memory/memory.oom_control", control)
    assert evidence.read_oom_kills(proc=tmp_path / "proc", cgroups=tmp_path / "cg") == 2


@pytest.mark.parametrize("text", ["", "garbage", "0::/../../etc\n", "4:memory:\n", "\x00\n:::\n"])
def test_unknown_is_none(tmp_path: Path, text: str) -> None:
    """A missing process, a missing counter and nonsense give None, and raise nothing."""
    written(tmp_path / "proc/9/cgroup", text)
    assert evidence.read_oom_kills(9, proc=tmp_path / "proc", cgroups=tmp_path / "cg") is None
    assert evidence.read_oom_kills(10, proc=tmp_path / "proc", cgroups=tmp_path / "cg") is None


def test_this_machine_answers() -> None:
    """The real machine gives a number or None for this process, None for an impossible pid."""
    found = evidence.read_oom_kills(os.getpid())
    assert found is None or found >= 0
    assert evidence.read_oom_kills(2**22 + 5) is None


def test_free_space_of_what_is_not_there_yet(tmp_path: Path) -> None:
    """A directory that does not exist yet has the free space of its nearest parent."""
    there = evidence.free_bytes(tmp_path)
    later = evidence.free_bytes(tmp_path / "a" / "b")
    assert there is not None
    assert later is not None
    assert there > 0
    assert evidence.free_bytes(Path("/dev/null/x")) is None
