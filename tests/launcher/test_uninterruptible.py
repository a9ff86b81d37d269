"""Real uninterruptible sleep: a file system whose server takes the request and never answers."""

from __future__ import annotations

import ctypes
import os
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from supervisor.launcher.termination import stuck_process
from supervisor.system import procfs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.launcher.conftest import Rig

# linux/fuse.h
INIT, GETATTR, HEADER = 26, 3, struct.Struct("<IIQQIIII")


class DeadServer:
    """A FUSE server that answers INIT and GETATTR of the root, and no other request."""

    def __init__(self, mount_point: Path) -> None:
        self.mount_point = mount_point
        mount_point.mkdir()
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self._device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
        if self._libc.mount(b"dead", os.fsencode(mount_point), b"fuse", 0, options) != 0:
            raise OSError(ctypes.get_errno(), "mount")
        self.taken = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                request = os.read(self._device, 1 << 20)
            except OSError:
                return  # unmounted
            _, opcode, unique, *_ = HEADER.unpack_from(request)
            if opcode == INIT:
                body = struct.pack("<IIIIHHI", 7, 31, 65536, 0, 0, 0, 65536) + bytes(36)
                self._answer(unique, body)
            elif opcode == GETATTR:
                attributes = struct.pack("<QQQQQQIIIIIIIIII", 1, 0, 0, 0, 0, 0, *[0] * 3,
                                         0o40755, 2, 0, 0, 0, 4096, 0)  # fmt: skip
                self._answer(unique, struct.pack("<QII", 3600, 0, 0) + attributes)
            else:
                self.taken.set()

    def _answer(self, unique: int, body: bytes) -> None:
        os.write(self._device, struct.pack("<IiQ", 16 + len(body), 0, unique) + body)

    def give_up(self) -> None:
        """End the connection, as an administrator would: a waiting process gets an error."""
        if self._device < 0:
            return
        self._libc.umount2(os.fsencode(self.mount_point), 1 | 2)  # MNT_FORCE | MNT_DETACH
        self._thread.join(10)
        os.close(self._device)
        self._device = -1


@pytest.fixture
def dead_disk(tmp_path: Path) -> Iterator[DeadServer]:
    """A FUSE mount that does not answer, like an NFS mount whose server is gone."""
    server = DeadServer(tmp_path / "disk")
    yield server
    server.give_up()


READS = "import os, sys; open(sys.argv[2], 'w').close(); os.stat(sys.argv[1] + '/file')"


@pytest.mark.root
def test_a_trainer_that_hangs_in_the_kernel_is_told_of_with_its_stack(
    rig: Rig, dead_disk: DeadServer
) -> None:
    """A trainer in state D survives SIGKILL and blocks launches; once freed it ends."""
    rig.start("--unkillable-after-s", "0.3")
    daemon = rig.daemon()
    started = rig.launch(daemon, sys.executable, "-c", READS, dead_disk.mount_point, "begun")
    assert dead_disk.taken.wait(20)
    daemon.send("kill", attempt=1)
    (told,) = daemon.expect("unkillable")["pids"]
    assert (told["pid"], told["state"]) == (started["pid"], "D")
    assert any("fuse" in frame for frame in told["stack"]), told
    assert told["wchan"]
    assert told["syscall"].split()[0].isdigit()
    daemon.send("launch", **rig.request("touch", "launched", attempt=2))
    assert daemon.expect("start_failed")["errno"] == 16
    assert not rig.is_gone(started["pid"])
    dead_disk.give_up()
    assert daemon.expect("exited")["signal"] == 9
    assert not (rig.folder / "launched").exists()
    rig.finish(daemon)


@pytest.mark.root
def test_a_thread_that_hangs_under_a_main_thread_that_ended(
    rig: Rig, dead_disk: DeadServer
) -> None:
    """The main thread is a zombie: the report is about the thread that hangs."""
    text = f"""\
import ctypes, os, sys, threading
threading.Thread(target=os.stat, args=({str(dead_disk.mount_point / "file")!r},)).start()
ctypes.CDLL(None).syscall({60 if os.uname().machine == "x86_64" else 93}, 0)
"""
    rig.start("--unkillable-after-s", "0.3")
    daemon = rig.daemon()
    rig.launch(daemon, sys.executable, "-c", text)
    assert dead_disk.taken.wait(20)
    daemon.send("kill", attempt=1)
    (told,) = daemon.expect("unkillable")["pids"]
    assert any("fuse" in frame for frame in told["stack"]), told
    dead_disk.give_up()
    daemon.expect("exited")
    rig.finish(daemon)


def test_a_process_that_is_gone_has_no_place_in_the_kernel() -> None:
    """The process ended between two looks: the fields are empty, and nothing is raised."""
    child = subprocess.Popen(["sleep", "1000"])
    process = procfs.read_process(child.pid)
    assert process is not None
    child.kill()
    child.wait()
    told = stuck_process(process)
    assert (told.pid, told.wchan, told.syscall, told.stack) == (child.pid, "", "", ())
