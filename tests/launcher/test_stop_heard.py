"""A loop that has a stop's SIGTERM already is not sent another; one that hangs is."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.launcher.attached_ranks import keeps_open
from supervisor.launcher.stop_delivery import StopDelivery
from supervisor.launcher.stop_heard import waits_for_save
from supervisor.system import procfs
from supervisor.system.identity import ProcessIdentity, identify
from supervisor.worker.sign_layout import (
    NO_STOP,
    SIGN,
    SIGN_BYTES,
    SIGN_MAGIC,
    SIGN_PREFIX,
    SIGN_VERSION,
    STOP_HANDLED,
    STOP_WAITS,
)

PROGRAM = """
import signal, sys
file = open(sys.argv[1], "r+b")
signal.signal(signal.SIGTERM, lambda *_: print("told", flush=True))
print("ready", flush=True)
while True:
    signal.pause()
"""


@pytest.fixture
def loop(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that keeps a file of signs open and prints each SIGTERM."""
    path = tmp_path / "file"
    path.touch()
    command = [sys.executable, "-c", PROGRAM, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        path.rename(tmp_path / f"{SIGN_PREFIX}{process.pid}")
        yield process
        process.kill()


def say(folder: Path, main: ProcessIdentity, stop: int, *, ticks: int | None = None) -> None:
    """Write what the process has answered."""
    ticks = main.start_ticks if ticks is None else ticks
    raw = SIGN.pack(SIGN_MAGIC, SIGN_VERSION, main.pid, 0, ticks, 1, 9, 9, 0, 0, 0, stop)
    (folder / f"{SIGN_PREFIX}{main.pid}").write_bytes(raw.ljust(SIGN_BYTES, b"\0"))


def deliver(folder: Path, main: ProcessIdentity, *, is_hang: bool = False) -> None:
    """Deliver a stop to a main process that is no rank."""
    delivery = StopDelivery(signal.SIGTERM, main, str(folder))
    delivery.order(20.0, is_hang=is_hang)
    process = procfs.read_process(main.pid)
    assert process is not None
    delivery.look([process], main_lives=True)


@pytest.mark.parametrize("stop", [NO_STOP, STOP_HANDLED, STOP_WAITS])
@pytest.mark.parametrize("is_hang", [False, True], ids=["stop", "hang"])
def test_the_signal_is_sent_unless_it_was_heard(
    tmp_path: Path, loop: "subprocess.Popen[str]", stop: int, is_hang: bool
) -> None:
    """A second one would end a loop before its own save. A loop that hangs is to end."""
    main = identify(loop.pid)
    assert main is not None
    say(tmp_path, main, stop)
    assert waits_for_save(str(tmp_path), main.pid, main.start_ticks) is (stop == STOP_WAITS)
    deliver(tmp_path, main, is_hang=is_hang)
    if stop == STOP_WAITS and not is_hang:
        time.sleep(0.3)
        os.kill(loop.pid, signal.SIGKILL)
        assert loop.stdout is not None
        assert loop.stdout.read() == ""
    else:
        assert loop.stdout is not None
        assert loop.stdout.readline() == "told\n"


def test_whose_file_it_is(tmp_path: Path, loop: "subprocess.Popen[str]") -> None:
    """A file of an earlier process with this pid, a short one and none at all say nothing."""
    main = identify(loop.pid)
    assert main is not None
    say(tmp_path, main, STOP_WAITS, ticks=1)
    assert not waits_for_save(str(tmp_path), main.pid, main.start_ticks)
    (tmp_path / f"{SIGN_PREFIX}{main.pid}").write_bytes(b"TSSG")
    assert not waits_for_save(str(tmp_path), main.pid, main.start_ticks)
    assert not waits_for_save(str(tmp_path / "none"), main.pid, main.start_ticks)
    assert not waits_for_save(None, main.pid, main.start_ticks)


def test_an_open_file_of_signs_makes_no_rank(tmp_path: Path, loop: "subprocess.Popen[str]") -> None:
    """A rank without a page is told by the page alone, and a loop that gives signs has none."""
    assert not keeps_open(loop.pid, str(tmp_path), "")
