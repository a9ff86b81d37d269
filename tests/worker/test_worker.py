"""What attach() gives a training script, in real processes with real signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from supervisor.system.identity import start_ticks
from supervisor.worker.heartbeat import Outcome, Page, Phase
from supervisor.worker.page_reading import read_page
from tests.refusals import without_functions
from tests.vanishing import vanish

if TYPE_CHECKING:
    from tests.worker.conftest import Trainers

ROOT = Path(__file__).resolve().parents[2]
LOOP = """
    import time
    from supervisor.worker import attach
    run = attach()
    print("ready", flush=True)
    step = 0
    while not run.should_stop:
        step += 1
        run.beat(step=step, epoch=0, loss=1 / step)
        time.sleep(0.005)
    run.exit_preempted(checkpoint="out/checkpoint-1", step=step)
"""


def page_of(trainers: Trainers, local_rank: int = 0) -> Page:
    """The page of a rank, which must be there."""
    page = read_page(trainers.heartbeats / f"rank-{local_rank}")
    assert page is not None
    return page


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signalled_trainer_stops_at_a_step_and_says_so(
    trainers: Trainers, number: signal.Signals
) -> None:
    """The trainer leaves with 75; its page has the code, the step and the checkpoint's path."""
    process = trainers.start(LOOP, SUPERVISOR_ATTEMPT="4", RANK="3", WORLD_SIZE="4")
    assert trainers.line(process) == "ready"
    trainers.eventually(lambda: page_of(trainers).beats > 3)
    page = page_of(trainers)
    assert (page.pid, page.start_ticks) == (process.pid, start_ticks(process.pid))
    assert (page.attempt, page.rank, page.world_size, page.stop_seen) == (4, 3, 4, False)
    for _ in range(5):
        process.send_signal(number)
    assert process.wait(90) == 75
    page = page_of(trainers)
    assert page.stop_seen
    assert page.outcome is not None
    assert page.outcome.code == 75
    assert page.outcome.step == page.step
    assert page.outcome.checkpoint == str(Path.cwd() / "out/checkpoint-1")


def test_a_signal_at_the_very_end_changes_nothing(trainers: Trainers) -> None:
    """Before Python restores the dispositions at exit, attach() has replaced ours by SIG_IGN."""
    process = trainers.start(
        """
        import atexit, signal
        from supervisor.worker import attach
        of = signal.getsignal
        atexit.register(lambda: print(of(signal.SIGTERM).name, of(signal.SIGUSR1).name))
        attach()
        assert callable(of(signal.SIGTERM))
        """
    )
    assert process.communicate(timeout=90)[0].split() == ["SIG_IGN", "SIG_IGN"]
    assert process.returncode == 0


def test_a_handler_of_the_scripts_own_stays(trainers: Trainers) -> None:
    """A script that replaced our handler keeps its own to the end."""
    process = trainers.start(
        """
        import atexit, signal
        from supervisor.worker import attach
        atexit.register(lambda: print(signal.getsignal(signal.SIGTERM) is own))
        attach()
        def own(number, frame): pass
        signal.signal(signal.SIGTERM, own)
        """
    )
    assert process.communicate(timeout=90)[0].split() == ["True"]


def test_it_is_harmless_outside_a_supervisor(trainers: Trainers) -> None:
    """Without a heartbeat directory the same script runs, and still stops when signalled."""
    process = trainers.start(LOOP, attached=False)
    assert trainers.line(process) == "ready"
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=90)
    assert (process.returncode, out, err) == (75, "", "")
    assert os.listdir(trainers.heartbeats) == []


def test_the_environment_is_read(trainers: Trainers) -> None:
    """The supervisor's variables are read with their types; nonsense counts as absent."""
    process = trainers.start(
        """
        from supervisor.worker import attach
        run = attach()
        assert run is attach()
        print(run.attached, repr(run.resume_from), run.run_id, run.attempt, run.grace_s,
              repr(run.snapshot_dir))
        """,
        attached=False,
        SUPERVISOR_RESUME_FROM="/runs/a/checkpoint-5",
        SUPERVISOR_RUN_ID="abc",
        SUPERVISOR_ATTEMPT="x3",
        SUPERVISOR_GRACE_S="120.5",
        SUPERVISOR_SNAPSHOT_DIR="",
    )
    out, _ = process.communicate(timeout=90)
    assert out == "False PosixPath('/runs/a/checkpoint-5') abc None 120.5 None\n"


def test_phases_and_endings(trainers: Trainers) -> None:
    """Phases nest; a phase that raised is not timed; finish() records and returns."""
    process = trainers.start(
        """
        import sys
        from supervisor.worker import attach
        run = attach()
        def show(): print("shown", flush=True); sys.stdin.readline()
        with run.phase("compile"):
            run.beat(step=1)
        try:
            with run.phase("eval"):
                raise OSError
        except OSError:
            pass
        try:
            run.phase("sleep").__enter__()
        except ValueError as error:
            print(error, flush=True)
        with run.phase("save"):
            run.beat(step=2)
        run.finish(step=2)
        run.finish(step=3)
        """
    )
    out, err = process.communicate(timeout=90)
    assert (process.returncode, err) == (0, "")
    assert out == "no phase 'sleep'; there are startup, step, eval, save, compile, final\n"
    page = page_of(trainers)
    assert page.phase is Phase.STEP
    assert page.longest_compile_ms is not None
    assert page.last_save_ms is not None
    assert page.longest_eval_ms is None
    assert page.outcome == Outcome(0, 2, None)


def test_a_wrong_configuration_is_said(trainers: Trainers) -> None:
    """A wrong configuration exits 78, with the message on stderr and the code in the page."""
    process = trainers.start(
        "from supervisor.worker import attach\nattach().exit_configuration('no such data: /x')\n"
    )
    _, err = process.communicate(timeout=90)
    assert (process.returncode, err) == (78, "no such data: /x\n")
    assert page_of(trainers).outcome == Outcome(78, None, None)


def test_a_stop_can_be_asked_for_from_inside(trainers: Trainers) -> None:
    """request_stop() turns should_stop true, and it stays true."""
    process = trainers.start(
        """
        from supervisor.worker import attach
        run = attach()
        before = run.should_stop
        run.request_stop()
        print(before, run.should_stop, run.should_stop)
        """
    )
    assert process.communicate(timeout=90)[0] == "False True True\n"
    assert page_of(trainers).stop_seen


def test_a_thread_that_attaches_is_told(trainers: Trainers) -> None:
    """Python accepts handlers only in the main thread: a warning says so, the heartbeat works."""
    process = trainers.start(
        """
        import threading
        from supervisor.worker import attach
        thread = threading.Thread(target=lambda: attach().beat(step=1))
        thread.start(); thread.join()
        """
    )
    _, err = process.communicate(timeout=90)
    assert process.returncode == 0
    assert "RuntimeWarning: supervisor.worker.attach() was not called in the main thread" in err
    assert page_of(trainers).step == 1


def test_no_heartbeat_directory_is_no_reason_to_fail(trainers: Trainers, tmp_path: Path) -> None:
    """The trainer trains on without a heartbeat, and warns."""
    process = trainers.start(
        """
        from supervisor.worker import attach
        run = attach()
        run.beat(step=1)
        print(run.attached)
        """,
        SUPERVISOR_HEARTBEAT=str(tmp_path / "gone"),
    )
    out, err = process.communicate(timeout=90)
    assert (process.returncode, out) == (0, "False\n")
    assert "the supervisor will not see hangs" in err


def test_an_emptied_directory_is_no_reason_to_fail(trainers: Trainers) -> None:
    """RemoveIPC during training: the trainer goes on, and stops as it should."""
    process = trainers.start(LOOP, LOCAL_WORLD_SIZE="2", LOCAL_RANK="0")
    assert trainers.line(process) == "ready"
    trainers.eventually(lambda: page_of(trainers).beats > 3)
    vanish(trainers.heartbeats)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=90)
    assert (process.returncode, err) == (75, "")


@pytest.mark.parametrize("namespace", [True, False])
def test_nothing_trains_without_its_launcher(trainers: Trainers, namespace: bool) -> None:
    """When the launcher is gone should_stop turns true without a signal."""
    launcher = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    name = f"{launcher.pid}:{start_ticks(launcher.pid)}"
    if namespace:
        name += f":{os.stat('/proc/self/ns/pid').st_ino}"
    elif os.stat("/proc/self/ns/pid").st_ino != 0xEFFFFFFC:
        pytest.skip("in a PID namespace of its own it has to be named")
    process = trainers.start(LOOP, SUPERVISOR_LAUNCHER=name)
    assert trainers.line(process) == "ready"
    trainers.eventually(lambda: page_of(trainers).beats > 3)
    assert not page_of(trainers).stop_seen
    launcher.kill()
    launcher.wait()
    assert launcher.stdin is not None
    launcher.stdin.close()
    assert process.wait(90) == 75


def test_without_pidfd_open_it_attaches_and_sees_the_end(
    trainers: Trainers, tmp_path: Path
) -> None:
    """Pythons of conda or uv lack pidfd_open: neither the attach nor the watch fails."""
    launcher = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    inode = os.stat("/proc/self/ns/pid").st_ino
    path = without_functions(tmp_path / "site")["PYTHONPATH"]
    process = trainers.start(
        LOOP,
        SUPERVISOR_LAUNCHER=f"{launcher.pid}:{start_ticks(launcher.pid)}:{inode}",
        PYTHONPATH=f"{path}{os.pathsep}{ROOT}",
    )
    assert trainers.line(process) == "ready"
    trainers.eventually(lambda: page_of(trainers).beats > 3)
    launcher.communicate(b"\n")
    assert process.wait(90) == 75


def test_a_trainer_out_of_descriptors_trains_on_without_pidfds(trainers: Trainers) -> None:
    """While the launcher's start time cannot be read, the launcher does not count as gone."""
    inode = os.stat("/proc/self/ns/pid").st_ino
    text = """
        import errno, os, resource
        from supervisor.worker import stop_signals
        def refuse(pid):
            raise OSError(errno.ENOSYS, "refused")
        stop_signals.open_pidfd, stop_signals._LAUNCHER_LOOKS_S = refuse, 0.0
        from supervisor.worker import attach
        run = attach()
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 4,) * 2)
        taken = []
        try:
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        except OSError as error:
            print(error.errno == errno.EMFILE, run.should_stop, flush=True)
        for fd in taken:
            os.close(fd)
        input()
        print(run.should_stop, flush=True)
    """
    launcher = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    name = f"{launcher.pid}:{start_ticks(launcher.pid)}:{inode}"
    process = trainers.start(text, SUPERVISOR_LAUNCHER=name)
    assert trainers.line(process) == "True False"
    launcher.communicate(b"\n")
    assert process.communicate("\n", timeout=90)[0] == "True\n"


@pytest.mark.parametrize(
    ("name", "stops"),
    [("{pid}:1:{ns}", True), ("4194300:5:{ns}", True), ("4194300:5:1", False), ("x:y", False)],
    ids=["another process has its pid", "gone", "another namespace", "nonsense"],
)
def test_a_launcher_that_was_gone_before(trainers: Trainers, name: str, stops: bool) -> None:
    """A late trainer sees at once that its launcher is gone, unless namespaces differ."""
    inode = os.stat("/proc/self/ns/pid").st_ino
    process = trainers.start(
        "from supervisor.worker import attach\nprint(attach().should_stop)\n",
        SUPERVISOR_LAUNCHER=name.format(pid=os.getpid(), ns=inode),
    )
    assert process.communicate(timeout=90)[0] == f"{stops}\n"


HANGS = {
    "sleep": "time.sleep(1000)",
    "a C call that keeps the GIL": "re.match(r'(a+)+$', 'a' * 64 + 'b')",
}


@pytest.mark.parametrize("hang", HANGS.values(), ids=HANGS.keys())
def test_a_hung_trainer_writes_its_stacks(trainers: Trainers, hang: str) -> None:
    """SIGUSR2 names the line of the hang and does not end the process."""
    process = trainers.start(
        f"""
        import re, time
        from supervisor.worker import attach
        attach().beat(step=1)
        def stuck_here():
            print("ready", flush=True)
            {hang}
        stuck_here()
        """,
        LOCAL_RANK="2",
    )
    assert trainers.line(process) == "ready"
    assert page_of(trainers, 2).stacks_armed
    process.send_signal(signal.SIGUSR2)
    stacks = trainers.heartbeats / "stacks-2.txt"
    trainers.eventually(lambda: "in stuck_here" in stacks.read_text())
    assert process.poll() is None


def test_a_script_with_its_own_sigusr2_keeps_it(trainers: Trainers) -> None:
    """The script's handler stays, and the page does not invite a signal."""
    process = trainers.start(
        """
        import os, signal
        signal.signal(signal.SIGUSR2, lambda *_: print("mine", flush=True))
        from supervisor.worker import attach
        attach()
        os.kill(os.getpid(), signal.SIGUSR2)
        """
    )
    assert process.communicate(timeout=90)[0] == "mine\n"
    assert not page_of(trainers).stacks_armed


def test_importing_it_stays_cheap() -> None:
    """A training script imports only a few small modules."""
    heavy = {"psutil", "pydantic", "structlog", "xxhash", "yaml", "subprocess", "asyncio", "json"}
    code = f"import sys, supervisor.worker; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"
