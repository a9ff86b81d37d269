"""A loop without adapter gives signs of life: it is ended if nothing moves, and else never."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from supervisor.worker.sign_layout import NEXT_SAVE
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


SAVING = """
signs = Signs(heeds_stops=True)
step, is_told = resumed_step(), False
while True:
    step += 1
    time.sleep(0.05)
    signs.sign()
    if step % (SAVE_EVERY) == 0:
        save(step)
    if signs.takes_stops and not is_told:
        is_told = True
        print("takes stops", flush=True)
"""


def saving(run: Supervised, *, every: int | str = 60, shell: str = "", grace_s: int = 40) -> None:
    """Start a loop that saves every so many steps, and wait until it knows its next save."""
    loop = command(run, SAVING.replace("SAVE_EVERY", str(every)))
    if shell:
        loop = ["sh", "-c", shell.format(" ".join(loop))]
    run.configure(command=loop, grace=f"{grace_s}s", resume=RESUME)
    run.start()
    run.wait(lambda: run.paths.train_log.exists() and "takes stops" in run.log)


def ended(run: Supervised) -> dict[str, object]:
    """The end of the only attempt, which was asked for."""
    assert run.finish() == 75
    (entry,) = run.entries("attempt_ended")
    return entry


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["", "{}; true"], ids=["plain", "below a shell"])
def test_a_stop_waits_for_the_loops_own_save(run: Supervised, shell: str) -> None:
    """The loop trains on to its next save, is ended once that is proven, and the run is saved."""
    saving(run, shell=shell)
    assert run.process is not None
    run.process.send_signal(signal.SIGTERM)
    run.wait(lambda: (run.status.get("stopping") or {}).get("waits_for") == "own save")
    assert "trains on to its own next save" in run.command("status").stdout
    end = ended(run)
    assert end["saved"] is True
    assert "saved at its own save, step" in run.text
    assert len(run.entries("own_save_awaited")) == 1
    assert run.strays() == []


# The third save pauses in its write for longer than a look at the checkpoints takes.
PAUSING = """
from tests.e2e.sign_writer import OUT
signs, began, step = Signs(heeds_stops=True), time.monotonic(), 0


def save_with_a_pause():
    whole = (OUT / "step-2.pt").read_bytes()
    with open(OUT / "step-3.pt", "wb") as file:
        file.write(whole[:100])
        file.flush()
        print("half of 3", flush=True)
        over = time.monotonic() + 8
        while time.monotonic() < over:
            time.sleep(0.1)
        file.write(whole[100:])


while True:
    time.sleep(0.05)
    signs.sign()
    if time.monotonic() - began >= 20 * step:
        step += 1
        save_with_a_pause() if step == 3 else save(step)
"""


@pytest.mark.slow
def test_a_loop_is_not_ended_in_a_pause_of_its_own_save(run: Supervised) -> None:
    """The half-written file looks complete for a while; it is no save after which none is due."""
    run.configure(command=command(run, PAUSING), grace="18s", resume=RESUME)
    run.start()
    run.wait(lambda: run.paths.train_log.exists() and "half of 3" in run.log)
    assert run.process is not None
    run.process.send_signal(signal.SIGTERM)
    end = ended(run)
    assert len(run.entries("own_save_awaited")) == 1
    assert end["saved"] is True
    assert "saved at its own save, " in run.text
    assert "is not due" not in run.text


@pytest.mark.slow
def test_a_stop_that_reaches_the_loop_first(run: Supervised) -> None:
    """SLURM signals the whole job: the launcher does not send the loop a second SIGTERM."""
    saving(run)
    assert run.process is not None
    pid = run.status["pids"]["trainer"]
    os.kill(pid, signal.SIGTERM)
    time.sleep(0.3)
    run.process.send_signal(signal.SIGTERM)
    assert ended(run)["saved"] is True
    assert "saved at its own save, step" in run.text


@pytest.mark.slow
def test_a_daemon_that_dies_while_a_save_is_awaited(run: Supervised) -> None:
    """The next daemon sees the loop wait, and ends it after its save."""
    saving(run)
    assert run.process is not None
    run.process.send_signal(signal.SIGTERM)
    run.wait(lambda: (run.status.get("stopping") or {}).get("waits_for") == "own save")
    os.kill(run.status["pids"]["daemon"], signal.SIGKILL)
    assert ended(run)["saved"] is True
    assert "saved at its own save, step" in run.text


def next_save(run: Supervised) -> dict[str, float | None]:
    """What the daemon tells the loop of its next save; empty where it tells nothing."""
    pid = run.status["pids"]["trainer"]
    environ = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    place = next(one for one in environ if one.startswith(b"SUPERVISOR_HEARTBEAT="))
    path = Path(os.fsdecode(place.partition(b"=")[2])) / NEXT_SAVE
    return dict(json.loads(path.read_text())) if path.exists() else {}


@pytest.mark.slow
def test_a_save_that_is_not_due_is_not_awaited(run: Supervised) -> None:
    """Attempt 2 knows the interval, and has not saved: the loop ends at once, and that is told."""
    saving(run, every="60 if ATTEMPT == 1 else 10**6")
    os.kill(run.status["pids"]["trainer"], signal.SIGKILL)
    run.wait(lambda: run.log.count("takes stops") == 2)
    told = next_save(run)
    assert told["since_s_monotonic"] is None
    known = run.entries("save_interval")[-1]["interval_s"]
    assert told["interval_s"] == pytest.approx(known, rel=0.2)
    assert told["grace_s"] == 40.0
    run.command("stop")
    assert run.finish() == 75
    assert run.entries("attempt_ended")[-1]["saved"] is False
    assert "nothing was saved: its next save was not due within the grace" in run.text
    assert run.entries("own_save_awaited") == []
