"""Deaths of want, for real: memory of a cgroup, space on a disk, a quota. The kernel refuses each.

The trainer, a plain script, prints only what Python prints.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Supervised
from tests.e2e.test_causes_of_death import DEATHS, configure, first_death
from tests.e2e.test_full_disk import fill

pytestmark = pytest.mark.root

MEMORY_BYTES = 256 << 20
ENTER = 'echo 0 > "$GROUP/cgroup.procs" && exec "$0" "$@"'


def memory_parent() -> tuple[Path, str]:
    """The group of the memory controller to make another in, and the file of its limit."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return Path("/sys/fs/cgroup/memory", path.lstrip("/")), "memory.limit_in_bytes"
    root = Path("/sys/fs/cgroup")
    (root / "cgroup.subtree_control").write_text("+memory")
    return root, "memory.max"


@pytest.fixture
def memory_group() -> Iterator[Path]:
    """A cgroup of 256 MiB, version 1 or 2 as the machine has it."""
    parent, limit = memory_parent()
    group = parent / f"supervisor-memory-{os.getpid()}"
    group.mkdir()
    (group / limit).write_text(str(MEMORY_BYTES))
    if (group / "memory.swap.max").exists():
        (group / "memory.swap.max").write_text("0")
    yield group
    for pid in (group / "cgroup.procs").read_text().split():
        (parent / "cgroup.procs").write_text(pid)
    group.rmdir()


def test_memory_of_a_cgroup(run: Supervised, memory_group: Path) -> None:
    """The kernel kills the largest process of the cgroup, and its counter says why."""
    configure(run, "hungry")
    run.prefix = ["sh", "-c", ENTER]
    run.environ = {"GROUP": str(memory_group)}
    run.start()
    decision = first_death(run)
    assert (decision["failure"], decision["action"]) == ("host_out_of_memory", "restart")
    assert run.finish() == 0
    assert run.entries("attempt_ended")[0]["signal"] == signal.SIGKILL
    run.close()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own, in memory."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def save_there(run: Supervised, disk: Path) -> None:
    """The training that writes into `disk` until it is refused."""
    run.configure(
        command=[sys.executable, str(DEATHS), "full"],
        checkpoints={"directory": str(disk)},
        env={"OUTPUT": disk, "GATE": run.gate},
    )


def waits_and_goes_on(run: Supervised, make_room: Callable[[], object]) -> None:
    """The cause is a full disk; the run waits, and goes on by itself once there is room."""
    run.start()
    decision = first_death(run)
    assert (decision["failure"], decision["action"]) == ("disk_full", "hold"), run.log
    assert decision["state"] == "waiting"
    make_room()
    assert run.finish() == 0
    assert len(run.entries("attempt_started")) == 2


def test_a_full_disk(run: Supervised, disk: Path) -> None:
    """The disk has eight megabytes, and others have most of them."""
    save_there(run, disk)
    (disk / "others").mkdir()
    fill(disk / "others/filler")
    waits_and_goes_on(run, (disk / "others/filler").unlink)
    run.close()


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[Path]:
    """A directory of btrfs with a quota of eight megabytes, which binds root too.

    Not every kernel has quotas for ext4 (CONFIG_QFMT_V2).
    """
    if shutil.which("mkfs.btrfs") is None:
        if os.environ.get("CI"):
            pytest.fail("no mkfs.btrfs; .ci/run brings it where it is root")
        pytest.skip("no mkfs.btrfs: Debian's btrfs-progs has it")
    image, mount = tmp_path / "image", tmp_path / "mount"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(200 << 20)
    done = subprocess.run(["mkfs.btrfs", "-q", str(image)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    subprocess.run(["mount", "-o", "loop", str(image), str(mount)], check=True)
    try:
        btrfs("quota", "enable", str(mount))
        btrfs("subvolume", "create", str(mount / "data"))
        btrfs("qgroup", "limit", "8M", str(mount / "data"))
        yield mount / "data"
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=True)


def btrfs(*words: str) -> None:
    """One command of btrfs-progs."""
    subprocess.run(["btrfs", *words], check=True, capture_output=True)


def test_a_quota(run: Supervised, limited: Path) -> None:
    """The disk has room for twenty times as much, and the quota has none."""
    save_there(run, limited)
    waits_and_goes_on(run, lambda: btrfs("qgroup", "limit", "64M", str(limited)))
    assert "Disk quota exceeded" in run.log
    facts = os.statvfs(limited)
    assert facts.f_bavail * facts.f_frsize > 64 << 20
    run.close()
