"""The kernel's log: only what matters, since a time, and nothing twice."""

import os
from pathlib import Path

import pytest

from supervisor.diagnosis.kernel_log import KernelLog

XID = "NVRM: Xid (PCI:0000:1b:00): 79, lost"


def test_lines_since_a_time(tmp_path: Path) -> None:
    """Kernel records about devices, memory and disks only, without their dictionaries."""
    device = tmp_path / "kmsg"
    device.write_bytes(f"4,1,9000000,-;{XID}\n SUBSYSTEM=x\n".encode())
    log = KernelLog(device)
    assert log.since(8.0) == (XID,)
    assert log.since(8.0) == (XID,)
    assert log.since(60.0) == ()
    assert KernelLog(tmp_path / "none").since(0.0) == ()
    device.write_bytes(b"6,1,9000000,-;usb 1-1: new device\n DRIVER=oom\n")
    assert KernelLog(device).since(8.0) == ()
    device.write_bytes(b"no record of the kernel: oom\n")
    assert KernelLog(device).since(0.0) == ()
    log.close()
    log.close()
    assert log.since(8.0) == (XID,)


def test_later_looks_read_only_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At an attempt's end the whole buffer would take milliseconds."""
    device = tmp_path / "kmsg"
    os.mkfifo(device)
    log = KernelLog(device)
    writing = os.open(device, os.O_WRONLY)
    reads = []
    original = os.read
    monkeypatch.setattr(os, "read", lambda *words: reads.append(1) or original(*words))
    for at in range(5):
        os.write(writing, f"4,{at},{at}000000,-;Killed process {at}\n".encode())
        reads.clear()
        assert len(log.since(0.0)) == at + 1
        assert len(reads) == 2  # the new record, and EAGAIN
    assert log.since(5.5) == ("Killed process 4",)
    os.close(writing)
    log.close()
