"""Whether the memory tier fits: by the tmpfs, the machine, and every cgroup above us."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.memory.space import room, used_bytes

MIB = 1 << 20
PLENTY = 1 << 40


def write(path: Path, text: str) -> None:
    """Write a file of a proc or cgroup tree."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A /proc of a machine with 64 GiB to spare and no cgroups."""
    write(tmp_path / "proc/meminfo", f"MemTotal: 1 kB\nMemAvailable: {64 * MIB} kB\n")
    return tmp_path / "proc"


def place_in(proc: Path, mount: Path, kind: str, path: str, root: str = "/") -> None:
    """Write this process's cgroup, and the mount point of the tree."""
    number, controllers = ("0", "") if kind == "cgroup2" else ("7", "cpu,memory")
    write(proc / "self/cgroup", f"{number}:{controllers}:{path}\n3:freezer:/other\n")
    options = "rw,memory" if kind == "cgroup" else "rw"
    write(
        proc / "self/mountinfo",
        f"1 2 0:3 / / rw - ext4 /dev/vda rw\n"
        f"9 2 0:4 / /freezer rw - cgroup cgroup rw,freezer\n"
        f"4 2 0:5 {root} {mount} rw,nosuid shared:1 - {kind} {kind} {options}\n",
    )


def test_this_machine(tmp_path: Path) -> None:
    """A kilobyte fits, a petabyte does not, and the reason has both figures."""
    assert room(Path("/dev/shm"), 1 << 10).fits
    answer = room(Path("/dev/shm/not/there/yet"), 1 << 50)
    assert not answer.fits
    assert "are needed" in answer.why
    assert answer.tmpfs_free is not None
    assert answer.memory_left is not None


def test_the_machine_is_the_limit(proc: Path, tmp_path: Path) -> None:
    """The limit is MemAvailable less the reserve."""
    write(proc / "meminfo", f"MemAvailable: {1024 * 1024} kB\n")
    assert room(tmp_path, 700 * MIB, proc=proc).fits
    answer = room(tmp_path, 800 * MIB, proc=proc)
    assert (answer.fits, answer.memory_left) == (False, 1024 * MIB)
    assert "1024 MiB of memory" in answer.why


def test_every_group_above_counts(proc: Path, tmp_path: Path) -> None:
    """In cgroup v2 a parent may be tighter, memory.high throttles, and clean page cache is free."""
    mount = tmp_path / "cgroup"
    place_in(proc, mount, "cgroup2", "/job/step")
    write(mount / "job/step/memory.max", "max\n")
    write(mount / "job/step/memory.high", f"{3000 * MIB}\n")
    write(mount / "job/step/memory.current", f"{500 * MIB}\n")
    write(mount / "job/memory.max", f"{2000 * MIB}\n")
    write(mount / "job/memory.current", f"{1900 * MIB}\n")
    write(
        mount / "job/memory.stat",
        f"anon 5\nactive_file {600 * MIB}\ninactive_file {500 * MIB}\n"
        f"file_dirty {90 * MIB}\nfile_writeback {10 * MIB}\n",
    )
    assert room(tmp_path, 100, proc=proc).memory_left == 1100 * MIB
    write(mount / "job/step/memory.high", f"{600 * MIB}\n")
    assert room(tmp_path, 100, proc=proc).memory_left == 100 * MIB


def test_the_first_version_of_cgroups(proc: Path, tmp_path: Path) -> None:
    """SLURM with cgroup v1 has limits per job; the root's limit is none."""
    mount = tmp_path / "memory"
    place_in(proc, mount, "cgroup", "/slurm/job_17")
    for folder, limit, used in (
        ("", (1 << 63) - 4096, PLENTY),
        ("slurm/job_17", 900 * MIB, 100 * MIB),
    ):
        write(mount / folder / "memory.limit_in_bytes", f"{limit}\n")
        write(mount / folder / "memory.usage_in_bytes", f"{used}\n")
    write(mount / "slurm/job_17/memory.stat", f"total_inactive_file {50 * MIB}\n")
    assert room(tmp_path, 100, proc=proc).memory_left == 850 * MIB


def test_a_container_sees_a_part_of_the_tree(proc: Path, tmp_path: Path) -> None:
    """The mount's root is our own group, or a path that ours does not lie below."""
    mount = tmp_path / "cgroup"
    write(mount / "memory.max", f"{800 * MIB}\n")
    write(mount / "memory.current", "0\n")
    for root in ("/docker/abc", "/elsewhere"):
        place_in(proc, mount, "cgroup2", "/docker/abc", root=root)
        assert room(tmp_path, 100, proc=proc).memory_left == 800 * MIB


@pytest.mark.parametrize("text", ["", "garbage\n", "0::\n", "a:b:c\n", "x - \n"])
def test_nothing_is_known(tmp_path: Path, text: str) -> None:
    """Without a readable /proc, only the file system's free space counts."""
    for name in ("meminfo", "self/cgroup", "self/mountinfo"):
        write(tmp_path / "proc" / name, text)
    answer = room(tmp_path, 100, proc=tmp_path / "proc")
    assert (answer.fits, answer.memory_left) == (True, None)
    assert answer.tmpfs_free is not None


@pytest.fixture
def small_tmpfs(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 8 MiB."""
    place = tmp_path / "shm"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.mark.root
def test_a_small_tmpfs_is_the_limit(small_tmpfs: Path) -> None:
    """A small tmpfs limits the room (Docker's has 64 MiB); use is counted by blocks."""
    assert room(small_tmpfs / "new", 6 * MIB).fits
    assert used_bytes(small_tmpfs) == 0
    (small_tmpfs / "slot").mkdir()
    with (small_tmpfs / "slot/model.pt").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 5 * MIB)
        os.truncate(file.fileno(), 50 * MIB)
    assert used_bytes(small_tmpfs) == 5 * MIB
    answer = room(small_tmpfs / "new", 6 * MIB)
    assert (answer.fits, answer.tmpfs_free) == (False, 3 * MIB)
    assert "3 MiB free" in answer.why


def test_what_is_not_there_uses_nothing(tmp_path: Path) -> None:
    """An absent directory, as after a run's end, uses no bytes."""
    assert used_bytes(tmp_path / "absent") == 0
