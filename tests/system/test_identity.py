"""A process is known by machine, boot, pid and start time, and by nothing less."""

from __future__ import annotations

import errno
import os
import select
import signal
import subprocess
import sys
import time

import pytest

from supervisor.system import identity
from supervisor.worker import system_call


def test_this_process_is_alive() -> None:
    """Our own identity is complete and alive."""
    me = identity.current()
    assert me == identity.identify(os.getpid())
    assert me.pid == os.getpid()
    assert me.machine_id
    assert identity.is_alive(me)


@pytest.mark.parametrize(
    "change",
    [{"machine_id": "other"}, {"boot_id": "other"}, {"start_ticks": 1}, {"pid": 2**22 + 1}],
)
def test_whoever_differs_in_anything_is_not_alive(change: dict[str, object]) -> None:
    """Another machine, another boot, a reused pid, or no such pid is not alive."""
    other = identity.current()._replace(**change)
    assert not identity.is_alive(other)


def test_a_zombie_is_not_alive() -> None:
    """A process that has ended and was not reaped is not alive."""
    child = subprocess.Popen(["sleep", "1000"])
    them = identity.identify(child.pid)
    assert them is not None
    assert identity.is_alive(them)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert identity.identify(child.pid) == them
    assert not identity.is_alive(them)
    child.wait()
    assert identity.identify(child.pid) is None


def test_a_process_without_its_main_thread_is_alive() -> None:
    """The process's leader thread is a zombie, but other threads work on."""
    text = """\
import ctypes, threading, time
threading.Thread(target=time.sleep, args=(1000,)).start()
print("go", flush=True)
ctypes.CDLL(None).syscall(60 if __import__("platform").machine() == "x86_64" else 93, 0)
"""
    with subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"go\n"
        them = identity.identify(child.pid)
        end = time.monotonic() + 40
        while (stat := identity.read_stat(child.pid)) and stat[1][0] != b"Z":
            assert time.monotonic() < end
        assert them is not None
        assert identity.is_alive(them)
        child.kill()


WAYS = ("functions", "system calls", "refused", "only opened")


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The way to hold a process: see supervisor/worker/system_call.py."""

    def refuse(*_: int) -> int:
        raise OSError(errno.EPERM, "refused")

    name = str(request.param)
    if name != "functions":
        monkeypatch.delattr(os, "pidfd_open")
        monkeypatch.delattr(signal, "pidfd_send_signal")
    if name == "refused":
        monkeypatch.setattr(system_call, "open_pidfd", refuse)
    if name in ("refused", "only opened"):
        monkeypatch.setattr(system_call, "signal_pidfd", refuse)
    return name


@pytest.mark.usefixtures("way")
def test_a_signal_reaches_exactly_that_process() -> None:
    """With any Python and kernel, a process with that pid but another start time gets no signal."""
    child = subprocess.Popen(["sleep", "1000"])
    them = identity.identify(child.pid)
    assert them is not None
    before = len(os.listdir("/proc/self/fd"))
    assert not identity.send_signal(child.pid, them.start_ticks - 1, signal.SIGKILL)
    assert child.poll() is None
    assert identity.send_signal(child.pid, them.start_ticks, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert not identity.send_signal(child.pid, them.start_ticks, signal.SIGKILL)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_pidfd_by_the_system_call_tells_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The descriptor is the same, and opening one for an ended process raises."""
    monkeypatch.delattr(os, "pidfd_open")
    child = subprocess.Popen(["sleep", "1000"])
    pidfd = system_call.open_pidfd(child.pid)
    assert not os.get_inheritable(pidfd)
    child.kill()
    assert select.select([pidfd], [], [], 10)[0] == [pidfd]
    os.close(pidfd)
    child.wait()
    with pytest.raises(ProcessLookupError):
        system_call.open_pidfd(child.pid)


def test_a_python_without_ctypes_signals_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python without libffi sends the signal by pid, as other Pythons without pidfd do."""
    monkeypatch.delattr(os, "pidfd_open")
    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setitem(sys.modules, "ctypes", None)
    child = subprocess.Popen(["sleep", "1000"])
    them = identity.identify(child.pid)
    assert them is not None
    assert identity.send_signal(child.pid, them.start_ticks, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    with pytest.raises(OSError, match="not implemented"):
        system_call.memory_file("nowhere")


def test_a_memory_file_by_the_system_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file has no name, and no program inherits it."""
    monkeypatch.delattr(os, "memfd_create")
    fd = system_call.memory_file("here")
    os.write(fd, b"kept")
    assert os.pread(fd, 9, 0) == b"kept"
    assert not os.get_inheritable(fd)
    assert "memfd:here" in os.readlink(f"/proc/self/fd/{fd}")
    os.close(fd)


def test_a_name_cannot_forge_a_start_time() -> None:
    """A process's comm may hold spaces and parentheses."""
    text = """\
import sys
open("/proc/self/comm", "w").write("a) R 1 (b) 2 3")
print("go", flush=True)
sys.stdin.read()
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", text], **pipes) as child:
        before = identity.start_ticks(child.pid)
        assert child.stdout is not None
        assert child.stdout.readline() == b"go\n"
        stat = identity.read_stat(child.pid)
        assert stat is not None
        assert stat[0] == "a) R 1 (b) 2 3"
        assert identity.start_ticks(child.pid) == before


def test_without_a_machine_id_the_host_name_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container without /etc/machine-id still has an identity."""
    monkeypatch.setattr(identity, "_cache", {})
    monkeypatch.setattr(identity, "_first_line", lambda path: "")
    assert identity.machine_id() == "host-" + os.uname().nodename
    assert identity.boot_id() == ""
