"""Datagrams to systemd: whole, never blocking, and received before an exit."""

import os
import socket
import threading
from pathlib import Path

import pytest

from supervisor.system import journal_stream, sd_notify
from tests.systemd.conftest import Listener


def test_assignments_are_one_datagram(listener: Listener) -> None:
    """A newline in a value cannot begin another assignment."""
    assert sd_notify.notify("READY=1", "STATUS=held: a\nSTOPPING=1")
    assert listener.heard() == ["READY=1\nSTATUS=held: a STOPPING=1"]


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without systemd, or with a socket that is gone, nothing is sent."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not sd_notify.notify("READY=1")
    assert not sd_notify.wait_until_heard()
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    assert not sd_notify.notify("READY=1")
    assert not sd_notify.wait_until_heard()


def test_a_full_queue_never_blocks(listener: Listener) -> None:
    """A systemd that does not read costs messages, not time."""
    for _ in range(5000):
        if not sd_notify.notify("WATCHDOG=1"):
            break
    else:
        pytest.fail("the queue was never full")
    assert not sd_notify.wait_until_heard()
    assert listener.heard()


def test_abstract_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """`@name` is the abstract namespace."""
    name = f"supervisor-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(f"\0{name}")
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        assert sd_notify.notify("READY=1")
        assert bound.recv(100) == b"READY=1"


def test_barrier_waits_for_the_reader(listener: Listener) -> None:
    """The barrier returns once the reader has closed the descriptor, and not before."""
    assert not sd_notify.wait_until_heard(0.05)
    listener.heard()
    answers: list[bool] = []
    waiter = threading.Thread(target=lambda: answers.append(sd_notify.wait_until_heard(30)))
    waiter.start()
    listener.socket.settimeout(30)
    data, descriptors, _, _ = socket.recv_fds(listener.socket, 100, 1)
    assert (data, answers) == (b"BARRIER=1", [])
    os.close(descriptors[0])
    waiter.join()
    assert answers == [True]


def test_journal_is_known_by_device_and_inode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An inherited JOURNAL_STREAM does not hold for a descriptor of another file."""
    with (tmp_path / "a").open("w") as journal, (tmp_path / "b").open("w") as other:
        facts = os.fstat(journal.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{facts.st_dev}:{facts.st_ino}")
        assert journal_stream.is_journal(journal.fileno())
        assert not journal_stream.is_journal(other.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", "nonsense")
        assert not journal_stream.is_journal(journal.fileno())
    assert not journal_stream.is_journal(-1)
    assert journal_stream.mark("a\nb", journal_stream.WARNING) == "<4>a\n<4>b"
