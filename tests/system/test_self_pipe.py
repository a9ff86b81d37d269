"""What wakes a poll from inside the process: signals as bytes, and a thread's ring."""

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from supervisor.system.self_pipe import SelfPipe


@pytest.fixture
def pipe() -> Iterator[SelfPipe]:
    """A self-pipe to which no signal comes."""
    made = SelfPipe()
    yield made
    made.close()


def is_readable(pipe: SelfPipe) -> bool:
    """Whether a poll would end at once."""
    return bool(select.select([pipe], [], [], 0)[0])


def test_a_ring_of_a_thread_wakes_until_it_is_drained(pipe: SelfPipe) -> None:
    """One `drain` takes all rings, and the next finds nothing."""
    assert not is_readable(pipe)
    ringer = threading.Thread(target=lambda: [pipe.ring() for _ in range(3)])
    ringer.start()
    ringer.join()
    assert is_readable(pipe)
    assert len(pipe.drain()) == 3
    assert not is_readable(pipe)
    assert pipe.drain() == b""


def test_a_full_pipe_is_a_pipe_that_rings(pipe: SelfPipe) -> None:
    """A ring in a full pipe neither waits nor raises, and one drain takes everything."""
    for _ in range(100_000):
        pipe.ring()
    assert is_readable(pipe)
    assert len(pipe.drain()) > 4096
    assert not is_readable(pipe)
    pipe.ring()
    assert is_readable(pipe)


def test_a_ring_after_the_end_writes_nowhere() -> None:
    """The closed descriptors' numbers may belong to another file by then."""
    pipe = SelfPipe()
    freed = pipe.fileno()
    pipe.close()
    reader, writer = os.pipe2(os.O_NONBLOCK)
    try:
        assert freed in (reader, writer)
        with pytest.raises(OSError, match="Bad file descriptor"):
            pipe.ring()
        with pytest.raises(BlockingIOError):
            os.read(reader, 1)
    finally:
        os.close(reader)
        os.close(writer)


CAUGHT = """\
import os, select, signal
from supervisor.system.self_pipe import SelfPipe

pipe = SelfPipe()
pipe.catch((signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD))
for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGHUP):
    os.kill(os.getpid(), number)
assert select.select([pipe], [], [], 10)[0]
print(list(pipe.drain()))
pid = os.fork()
if pid == 0:
    os._exit(0)
assert select.select([pipe], [], [], 10)[0]
print(list(pipe.drain()))
for _ in range(100_000):
    pipe.ring()
os.kill(os.getpid(), signal.SIGTERM)
print("alive")
"""


def test_signals_come_as_their_numbers_and_do_nothing_else() -> None:
    """Each signal arrives in order; one more in a full pipe neither ends nor blocks the process."""
    done = subprocess.run(
        [sys.executable, "-c", CAUGHT], capture_output=True, text=True, timeout=60, check=False
    )
    numbers = [int(one) for one in (signal.SIGHUP, signal.SIGTERM, signal.SIGHUP)]
    said = f"{numbers}\n{[int(signal.SIGCHLD)]}\nalive\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, said, "")
