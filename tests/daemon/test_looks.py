"""Three looks at real processes: standing still, at work, or missing at a collective."""

from __future__ import annotations

import errno
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from supervisor.core.events import Looked
from supervisor.core.rules.hang_evidence import Sight, judge
from supervisor.daemon.look import hang_looks, network_use, stack_reading
from supervisor.daemon.look.gpu_use import BusyGpu
from supervisor.daemon.look.hang_looks import HangLooks
from supervisor.daemon.look.idle_processes import IdleProcesses
from supervisor.daemon.look.process_samples import sample_tree
from supervisor.daemon.look.rank_presence import RankPresence
from supervisor.system.clock import monotonic_s
from supervisor.worker.page_reading import read_pages
from tests.launcher.test_uninterruptible import DeadServer

ROOT = Path(__file__).resolve().parents[2]
SPAN_S = 3.0
BEGIN = """
import os, signal, socket, subprocess, sys, threading, time
from supervisor.worker import attach
run = attach(); run.beat(step=1)
"""
CHILD = "import time\nend = time.monotonic() + 300\nwhile time.monotonic() < end: pass"
UPLOAD = """
import socket, time
one, two = socket.socketpair()
while True: one.send(b'x' * 1000); two.recv(1000); time.sleep(0.1)
"""
# What each process does instead of its next step, and what a look must find.
CASES = {
    "an endless sleep": ("time.sleep(1000)", Sight.STILL),
    "a lock that nobody gives back": (
        "lock = threading.Lock(); lock.acquire(); lock.acquire()",
        Sight.STILL,
    ),
    "a sleep in small pieces": ("\nwhile True: time.sleep(1)", Sight.STILL),
    "stopped": ("os.kill(os.getpid(), signal.SIGSTOP)", Sight.MISSING),
    "an evaluation": (f"exec({CHILD!r})", Sight.WORK),
    "one in a child": (f"subprocess.run([sys.executable, '-c', {CHILD!r}])", Sight.WORK),
    "an upload by a child": (f"subprocess.run([sys.executable, '-c', {UPLOAD!r}])", Sight.WORK),
    "a child that waits": ("subprocess.run(['sleep', '300'])", Sight.UNCLEAR),
    "one whose output is read": ("subprocess.check_output(['sleep', '300'])", Sight.UNCLEAR),
    "new processes": ("\nwhile True: subprocess.run(['sleep', '0.4'])", Sight.WORK),
    "a save, byte by byte": (
        "\nwith open(os.environ['SLOW'], 'wb', 0) as f:\n"
        "    while True: f.write(b'x' * 4096); time.sleep(0.7)",
        Sight.WORK,
    ),
    "a write that is taken slowly": (
        "r, w = os.pipe()\n"
        "def take():\n    while True: os.read(r, 4096); time.sleep(0.7)\n"
        "if os.fork() == 0: os.close(w); take()\n"
        "os.close(r); os.write(w, bytes(1 << 26))",
        Sight.WORK,
    ),
    "a retry loop": (
        "\ndef ask(n): time.sleep(0.45) if n == 0 else ask(n - 1)\n"
        "n = 0\nwhile True: n += 1; ask(n % 7)",
        Sight.WORK,
    ),
}


class Case:
    """One attached process, and looks at it."""

    def __init__(self, folder: Path, code: str, *words: str) -> None:
        """`words` are a command that does not attach, in place of the code."""
        self.folder = folder
        folder.mkdir()
        command = words or (sys.executable, "-c", BEGIN + code)
        env = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "SUPERVISOR_HEARTBEAT": str(folder),
            "SLOW": str(folder / "slow"),
        }
        self.process = subprocess.Popen(command, env=env, start_new_session=True)
        self.presence = RankPresence()
        self.looking: HangLooks | None = None

    @property
    def has_begun(self) -> bool:
        """Whether the process has done its step."""
        pages = read_pages(self.folder)
        self.presence.look(pages, monotonic_s())
        return bool(pages) and pages[0].beats > 0

    def begin(self, span_s: float = SPAN_S, *, reads_network: bool = False) -> None:
        """Order the looks."""
        now = monotonic_s()
        self.looking = HangLooks(
            1,
            now,
            span_s,
            main_pid=self.process.pid,
            pages=read_pages(self.folder),
            presence=self.presence,
            heartbeat_dir=self.folder,
            last_sign_at=now - 10.0,
            signal=self.signal,
            reads_network=reads_network,
        )

    def signal(self, pids: list[int]) -> None:
        """Send SIGUSR2, as the launcher does."""
        for pid in pids:
            os.kill(pid, signal.SIGUSR2)

    def end(self) -> None:
        """Kill the process's session."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def answers(cases: dict[str, Case], limit_s: float = 60.0) -> dict[str, Looked]:
    """Poll all looks to their end; the answers by name."""
    found: dict[str, Looked] = {}
    until = time.monotonic() + limit_s
    while len(found) < len(cases):
        assert time.monotonic() < until, set(cases) - set(found)
        for name, case in cases.items():
            if name not in found:
                assert case.looking is not None
                looked = case.looking.poll(0.0)
                if looked is not None:
                    found[name] = looked
        time.sleep(0.02)
    return found


def wait_for(claim: Callable[[], bool]) -> None:
    """Wait until a claim holds."""
    until = time.monotonic() + 60
    while not claim():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Looked]:
    """The answers of all cases, which are looked at at the same time."""
    folder = tmp_path_factory.mktemp("looks")
    cases = {name: Case(folder / str(n), code) for n, (name, (code, _)) in enumerate(CASES.items())}
    try:
        wait_for(lambda: all(case.has_begun for case in cases.values()))
        time.sleep(1.0)  # the code after the step has begun by then
        for case in cases.values():
            case.begin()
        return answers(cases)
    finally:  # at once: a few of them compute, and would until the last test of this file
        for case in cases.values():
            case.end()


@pytest.mark.parametrize("name", CASES)
def test_what_is_seen_of_it(seen: dict[str, Looked], name: str) -> None:
    """Work is told from a hang; a wait for a child that was just started is neither."""
    assert judge(seen[name]).sight is CASES[name][1], seen[name]


BESIDES = {
    "it sleeps": ("time.sleep(1000)", Sight.STILL),
    "it computes": (CHILD, Sight.WORK),
    "it waits for its child, which sleeps": ("subprocess.run(['sleep', '300'])", Sight.STILL),
}


@pytest.mark.parametrize("name", BESIDES)
def test_a_command_that_does_not_attach(tmp_path: Path, name: str) -> None:
    """The child's stacks show what it does; of the shell the kernel's place is known."""
    code = f"import subprocess, time\n{BESIDES[name][0]}"
    shell = f"{sys.executable} -c {shlex.quote(code)}; true"
    case = Case(tmp_path / "case", "", "bash", "-c", shell)
    try:
        wait_for(lambda: len(sample_tree([case.process.pid], case.process.pid).processes) > 1)
        time.sleep(1.0)
        case.begin()
        (looked,) = answers({name: case}).values()
    finally:
        case.end()
    assert judge(looked).sight is BESIDES[name][1], looked


def test_a_command_without_python(tmp_path: Path) -> None:
    """Without Python stacks the kernel's places and counters decide."""
    case = Case(tmp_path / "case", "", "bash", "-c", "sleep 1000; true")
    try:
        wait_for(lambda: len(sample_tree([case.process.pid], case.process.pid).processes) > 1)
        time.sleep(0.5)
        case.begin()
        (looked,) = answers({"": case}).values()
    finally:
        case.end()
    assert judge(looked).sight is Sight.STILL, looked


def test_stacks_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without py-spy, and with the script's own handler, counters alone are no proof."""
    monkeypatch.setattr(hang_looks, "find_py_spy", lambda: None)
    own = f"import signal\nsignal.signal(signal.SIGUSR2, lambda *_: None)\n{BEGIN}"
    command = (sys.executable, "-c", f"{own}time.sleep(1000)")
    case = Case(tmp_path / "case", "", *command)
    try:
        wait_for(lambda: case.has_begun)
        time.sleep(0.5)
        case.begin()
        (looked,) = answers({"": case}).values()
    finally:
        case.end()
    assert judge(looked).sight is Sight.UNCLEAR, looked
    assert looked.ranks[0].moved == ()


def _refuse() -> dict[int, int]:
    raise OSError(errno.EPROTONOSUPPORT, os.strerror(errno.EPROTONOSUPPORT))


@pytest.mark.parametrize("refused", [False, True], ids=["read", "refused"])
def test_what_is_sent_may_not_be_readable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: bool
) -> None:
    """A sandbox refuses the counters: with a connection that is no proof, neither of work."""
    if refused:
        monkeypatch.setattr(network_use, "_tcp_bytes", _refuse)
    connect = (
        "import socket\nserver = socket.create_server(('127.0.0.1', 0))\n"
        "client = socket.create_connection(server.getsockname())\n"
    )
    codes = {"alone": "", "connected": connect, "stopped": f"{connect}os.kill(os.getpid(), 19)\n"}
    cases = {n: Case(tmp_path / n, f"{code}time.sleep(1000)") for n, code in codes.items()}
    try:
        wait_for(lambda: all(case.has_begun for case in cases.values()))
        time.sleep(0.5)
        for case in cases.values():
            case.begin(reads_network=True)
        sights = {name: judge(looked).sight for name, looked in answers(cases).items()}
    finally:
        for case in cases.values():
            case.end()
    assert sights == {
        "alone": Sight.STILL,
        "connected": Sight.UNCLEAR if refused else Sight.STILL,
        "stopped": Sight.MISSING,
    }


def test_stacks_files_stay_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of months with an evaluation each hour must not fill a tmpfs with stacks."""
    monkeypatch.setattr(stack_reading, "_BYTES_MAX", 10)
    case = Case(tmp_path / "case", "time.sleep(1000)")
    try:
        wait_for(lambda: case.has_begun)
        case.begin(1.0)
        answers({"": case})
        assert (case.folder / "stacks-0.txt").stat().st_size == 0
    finally:
        case.end()


def test_an_attempt_that_has_ended_proves_nothing(tmp_path: Path) -> None:
    """An attempt that has ended looks unclear, because its end is about to be reported."""
    case = Case(tmp_path / "case", "", "true")
    case.process.wait()
    case.begin(1.0)
    (looked,) = answers({"": case}).values()
    assert judge(looked).sight is Sight.UNCLEAR


RANK = """
import os, time
import torch.distributed as dist, torch
from supervisor.worker import attach
run = attach()
rank = int(os.environ["RANK"])
dist.init_process_group("gloo", "file://" + os.environ["STORE"], rank=rank, world_size=2)
dist.all_reduce(torch.ones(1))
run.beat(step=1)
"""


class SpinningGpu:
    """In NVML's place: the device of the waiting ranks is busy, as NCCL's kernels keep it."""

    waiting: frozenset[int] = frozenset()

    def __init__(self, pids: object) -> None:
        """Any pids are accepted."""
        self.busy = (BusyGpu("GPU 0 (100 %)", self.waiting),)

    def poll(self) -> bool:
        """The answer is there at once."""
        return True


@pytest.mark.slow
def stands_still(pid: int) -> bool:
    """Whether a process uses no CPU for two seconds."""
    process = psutil.Process(pid)
    before = process.cpu_times()[:2]
    time.sleep(2.0)
    return process.cpu_times()[:2] == before


def test_a_lost_collective_of_two_ranks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rank that does not reach the collective is named; a rank at work is waited for."""
    monkeypatch.setattr(hang_looks, "GpuUse", SpinningGpu)
    kinds = {"lost": "time.sleep(1000)", "evaluates": f"exec({CHILD!r})"}
    cases = {}
    for kind, code in kinds.items():
        body = f"{RANK}{code} if rank == 1 else dist.all_reduce(torch.ones(1))"
        one = f"{sys.executable} -c {shlex.quote(body)}"
        env = f"export WORLD_SIZE=2 LOCAL_WORLD_SIZE=2 OMP_NUM_THREADS=1 STORE={tmp_path / kind}.st"
        shell = f"{env}; RANK=0 LOCAL_RANK=0 {one} & RANK=1 LOCAL_RANK=1 {one} & wait"
        cases[kind] = Case(tmp_path / kind, "", "bash", "-c", shell)
    try:

        def both() -> bool:
            pages = [read_pages(case.folder) for case in cases.values()]
            return all(len(ranks) == 2 and all(p.beats for p in ranks) for ranks in pages)

        wait_for(both)
        idle = read_pages(cases["lost"].folder)[1].pid
        wait_for(lambda: stands_still(idle))  # a busy machine settles late
        for case in cases.values():
            pages = read_pages(case.folder)
            case.presence.look(pages, monotonic_s())
            SpinningGpu.waiting |= {pages[0].pid}
            case.begin()
        found = answers(cases)
    finally:
        for case in cases.values():
            case.end()
    lost, evaluates = judge(found["lost"]), judge(found["evaluates"])
    assert lost.sight is Sight.MISSING, found["lost"]
    assert "rank 1" in lost.what.partition("waiting for")[2], lost
    assert "all_reduce" in lost.what
    assert evaluates.sight is Sight.WORK, found["evaluates"]


@pytest.mark.root
@pytest.mark.skipif(not Path("/dev/fuse").exists(), reason="no FUSE here")
def test_a_disk_that_does_not_answer_is_no_proof(tmp_path: Path) -> None:
    """The server of the file system is silent, so the longer time decides."""
    server = DeadServer(tmp_path / "mount")
    case = Case(tmp_path / "case", f"open({str(tmp_path / 'mount/saved.pt')!r}, 'wb')")
    try:
        assert server.taken.wait(30)
        wait_for(lambda: case.has_begun)
        case.begin()
        (looked,) = answers({"": case}).values()
    finally:
        server.give_up()
        case.end()
    assert judge(looked).sight is Sight.UNCLEAR, looked
    assert "a disk or a file system" in judge(looked).what


def test_quiet_begins_anew_with_whatever_moves(tmp_path: Path) -> None:
    """A shell that waits is quiet; a shell that starts a process every second never is."""
    commands = {"waits": "sleep 1000; true", "polls": "while sleep 1; do :; done"}
    cases = {n: Case(tmp_path / n, "", "bash", "-c", text) for n, text in commands.items()}
    seconds: dict[str, float] = {}
    try:
        for case in cases.values():
            pid = case.process.pid
            wait_for(lambda pid=pid: len(sample_tree([pid], pid).processes) > 1)
        time.sleep(0.5)
        quiets = {
            name: IdleProcesses(lambda pid=case.process.pid: sample_tree([pid], pid))
            for name, case in cases.items()
        }
        until = time.monotonic() + 60.0
        while seconds.get("waits", 0.0) <= 6.0 and time.monotonic() < until:
            seconds = {name: quiet.seconds(monotonic_s()) for name, quiet in quiets.items()}
            time.sleep(0.2)
    finally:
        for case in cases.values():
            case.end()
    assert seconds["waits"] > 6.0
    assert seconds["polls"] < 4.0
