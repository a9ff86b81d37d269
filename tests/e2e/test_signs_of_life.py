"""A loop without adapter gives signs of life: it is ended if nothing moves, and else never."""

import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Supervised

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 2
HEAD = f"""
import sys
sys.path[:0] = [{str(ROOT)!r}]
import hashlib, os, signal, socket, subprocess, threading, time
from tests.e2e.sign_writer import ATTEMPT, Signs, resumed_step, save
"""
LOOP = """
signs = Signs()
for step in range(resumed_step() + 1, 61):
    time.sleep(0.02)
    signs.sign()
    if step % 20 == 0:
        save(step)
    if step == 30 and ATTEMPT == 1:
        stand()
"""
# Each goes on for longer than the limit and the looks together.
WORK_S = 12
STANDS = {
    "deadlock": "lock = threading.Lock(); lock.acquire(); lock.acquire()",
    "stopped": "os.kill(os.getpid(), signal.SIGSTOP)",
}
WORKS = {
    "evaluation": "sum(i * i for i in iter(lambda: time.monotonic() < end or None, None))",
    "rollouts": "subprocess.run([sys.executable, '-c', SPIN, str(end)])",
    "spin in C": "[hashlib.pbkdf2_hmac('sha256', b'a', b'b', 200000) and 0"
    " for _ in iter(lambda: time.monotonic() < end or None, None)]",
    "upload": "upload(end)",
    "sleep with network": "poll(end)",
}
HELPERS = """
SPIN = "import sys, time\\nwhile time.monotonic() < float(sys.argv[1]): pass"


def pair():
    server = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(server.getsockname())
    return client, server.accept()[0]


def upload(end):
    # A thread sends slowly, the main thread waits for it, and no file is read meanwhile.
    client, taker = pair()

    def send():
        data = b"x" * (1 << 22)
        client.sendall(data)

    def take():
        while time.monotonic() < end:
            taker.recv(1 << 18)
            time.sleep(1.5)
        taker.close()

    taking = threading.Thread(target=take)
    taking.start()
    try:
        send()
    except OSError:
        pass
    taking.join()


def poll(end):
    client, other = pair()
    threading.Thread(target=lambda: [client.recv(1) for _ in range(100)], daemon=True).start()
    while time.monotonic() < end:
        other.send(b"x")
        time.sleep(2)
"""


def command(run: Supervised, text: str) -> list[str]:
    """A script of these lines, and the command that runs it."""
    path = run.folder / "loop.py"
    path.write_text(f"{HEAD}{text}")
    return [sys.executable, str(path)]


RESUME = {"args": ["--resume", "{checkpoint}"]}


@pytest.mark.slow
@pytest.mark.parametrize("name", STANDS)
def test_a_loop_that_stands_still_is_ended_and_relaunched(run: Supervised, name: str) -> None:
    """Looks find that nothing moves; the next attempt goes on from the last checkpoint."""
    lines = f"{HELPERS}\ndef stand():\n    {STANDS[name]}\n{LOOP}"
    run.configure(
        command=command(run, lines),
        watch={"heartbeat_timeout": f"{LIMIT_S}s"},
        resume=RESUME,
    )
    assert run.run() == 0
    first, second = run.entries("attempt_ended")
    assert (first["failure"], second["failure"]) == ("hang", "completed")
    assert "no sign of life" in first["reason"]
    assert run.entries("attempt_started")[1]["checkpoint"]["step"] == 20
    assert run.entries("first_step") == [], "a sign of life is no step"


@pytest.mark.slow
@pytest.mark.parametrize("name", WORKS)
def test_work_without_a_sign_is_told_and_left_alone(run: Supervised, name: str) -> None:
    """Stacks, one incident and one sentence, and the attempt ends by itself."""
    work = f"def stand():\n    end = time.monotonic() + {WORK_S}\n    {WORKS[name]}\n"
    run.configure(
        command=command(run, f"{HELPERS}\n{work}{LOOP}"),
        watch={"heartbeat_timeout": f"{LIMIT_S}s"},
    )
    assert run.run() == 0
    assert len(run.entries("attempt_ended")) == 1
    assert run.entries("hung") == []
    (looked,) = run.entries("looked")
    assert looked["is_work"] is True
    (incident,) = run.entries("incident")
    assert incident["done"] == "stacks taken; the attempt goes on"
    assert run.text.count("the attempt is at work") == 1
