"""A helper that attaches is not the rank: the first process that beats owns the page."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import supervisor.worker
from supervisor.daemon.look.endings import agreed_outcome
from supervisor.daemon.look.page_set import PageSet
from supervisor.system.identity import start_ticks
from supervisor.worker import mounts
from supervisor.worker.heartbeat import PageWriter, Phase
from supervisor.worker.page import Page
from supervisor.worker.page_layout import HEADER, STATE, STATE_AT, STOP_ASKED
from supervisor.worker.page_reading import read_page
from tests.vanishing import vanish

if TYPE_CHECKING:
    from tests.worker.conftest import Trainers

# Executes the lines that it reads, and prints its state after each.
OBEDIENT = """
    import os, signal, subprocess, sys, time
    from supervisor.worker import page_repair
    from supervisor.worker import attach
    page_repair.LOOKS_S = 0.0
    run = attach()
    def helper(code="", wait=True):
        child = subprocess.Popen([sys.executable, "-c", code or HELPER], stdout=subprocess.DEVNULL)
        return child.wait() if wait else child
    HELPER = '''
    from supervisor.worker import attach
    run = attach()
    run.beat(step=5)
    with run.phase("eval"): pass
    run.finish()
    '''.replace("\\n    ", "\\n")
    print("ready", flush=True)
    for line in sys.stdin:
        exec(line)
        print(run.attached, run.is_bystander, flush=True)
"""
OWNER, BYSTANDER = "True False", "False True"


class Obedient:
    """A process that attaches, and then executes one line after the other."""

    def __init__(self, trainers: Trainers) -> None:
        self._trainers = trainers
        self.process = trainers.start(OBEDIENT)
        assert trainers.line(self.process) == "ready"

    def do(self, line: str) -> str:
        """Let the process execute a line; its state afterwards."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self._trainers.line(self.process)

    def end(self) -> None:
        """Kill the process."""
        self.process.kill()
        self.process.wait()


def page_of(trainers: Trainers) -> Page:
    """The page that the supervisor reads."""
    page = read_page(trainers.heartbeats / "rank-0")
    assert page is not None
    return page


def test_a_helper_of_a_trainer_that_beats_has_no_effect(trainers: Trainers) -> None:
    """The helper's beats, phases and finish() reach no page."""
    trainer = Obedient(trainers)
    trainer.do("run.beat(step=30)")
    before = (trainers.heartbeats / "rank-0").stat().st_ino
    assert trainer.do("helper()") == OWNER
    page = page_of(trainers)
    assert (page.pid, page.step, page.outcome) == (trainer.process.pid, 30, None)
    assert (page.longest_eval_ms, page.phase) == (None, Phase.STEP)
    assert (trainers.heartbeats / "rank-0").stat().st_ino == before
    helper = Obedient(trainers)
    assert helper.do("pass") == BYSTANDER


def test_a_phase_makes_a_rank_as_well(trainers: Trainers) -> None:
    """A trainer in a phase before its first step is a rank already."""
    trainer = Obedient(trainers)
    trainer.do("phase = run.phase('compile'); phase.__enter__()")
    helper = Obedient(trainers)
    assert helper.do("run.beat(step=1)") == BYSTANDER
    assert page_of(trainers).pid == trainer.process.pid


def test_a_parent_that_only_attaches_is_no_rank(trainers: Trainers) -> None:
    """The parent only attaches: its trainer owns the page, and the outcome in it stays."""
    parent = Obedient(trainers)
    assert parent.do("helper()") == OWNER  # the parent has not noticed yet
    page = page_of(trainers)
    assert (page.step, page.outcome is not None) == (5, True)
    assert page.pid != parent.process.pid


@pytest.mark.parametrize("first", [0, 1])
def test_of_two_that_attach_the_first_that_beats_has_it(trainers: Trainers, first: int) -> None:
    """Of two processes the first that beats owns the page; the other writes no page."""
    both = Obedient(trainers), Obedient(trainers)
    owner, other = both[first], both[1 - first]
    assert owner.do("run.beat(step=7)") == OWNER
    assert other.do("run.beat(step=900); run.finish()") == BYSTANDER
    page = page_of(trainers)
    assert (page.pid, page.step, page.outcome) == (owner.process.pid, 7, None)


def test_an_evaluation_before_training_leaves_the_page(trainers: Trainers) -> None:
    """The helper beats and finishes first, in the foreground; then the trainer takes the page."""
    trainer = Obedient(trainers)
    trainer.do("helper()")
    assert page_of(trainers).outcome is not None
    assert trainer.do("run.beat(step=1)") == OWNER
    page = page_of(trainers)
    assert (page.pid, page.step, page.outcome) == (trainer.process.pid, 1, None)


def test_an_evaluation_that_came_second_has_not_finished_the_run(trainers: Trainers) -> None:
    """The trainer dies before its first step: the helper's outcome is not the run's."""
    trainer = Obedient(trainers)
    assert not page_of(trainers).is_second
    trainer.do("helper()")
    pages = [page_of(trainers)]
    assert pages[0].is_second
    assert agreed_outcome(pages, has_failed=True) is None
    assert agreed_outcome(pages, has_failed=False) is not None
    trainer.do("run.beat(step=1); run.finish()")
    assert agreed_outcome([page_of(trainers)], has_failed=True) is not None
    trainer.end()
    # torchrun has started the rank again: the earlier process is gone.
    Obedient(trainers).do("run.finish()")
    assert agreed_outcome([page_of(trainers)], has_failed=True) is not None


def test_an_evaluation_beside_training_gives_the_page_up_at_its_end(trainers: Trainers) -> None:
    """The helper beat first; the trainer, attached earlier, takes the page when it has ended."""
    trainer = Obedient(trainers)
    helper = Obedient(trainers)
    helper.do("run.beat(step=1)")
    assert trainer.do("run.beat(step=1)") == BYSTANDER
    helper.do("run.finish()")
    assert trainer.do("run.should_stop") == BYSTANDER
    helper.end()
    trainer.do("run.beat(step=2)")
    assert trainer.do("run.should_stop") == OWNER
    page = page_of(trainers)
    assert (page.pid, page.step, page.outcome) == (trainer.process.pid, 2, None)
    assert page.stacks_armed
    trainer.do("run.finish()")
    assert page_of(trainers).outcome is not None


def test_a_helper_that_outlives_the_trainer_does_not_take_over(trainers: Trainers) -> None:
    """A killed trainer has not finished, whatever its evaluation reports."""
    trainer = Obedient(trainers)
    trainer.do("run.beat(step=45)")
    helper = Obedient(trainers)
    trainer.end()
    assert helper.do("run.beat(step=5); run.should_stop") == BYSTANDER
    assert helper.do("run.finish()") == BYSTANDER
    page = page_of(trainers)
    assert (page.pid, page.step, page.outcome) == (trainer.process.pid, 45, None)
    # torchrun has started the rank again.
    again = Obedient(trainers)
    assert again.do("run.beat(step=46)") == OWNER
    assert page_of(trainers).pid == again.process.pid


def test_nothing_that_a_trainer_forked_keeps_its_page(trainers: Trainers) -> None:
    """A child forked by a C library, without hooks and exec, outlives the trainer."""
    trainer = Obedient(trainers)
    trainer.do("run.beat(step=1)")
    trainer.do("import ctypes; child = ctypes.PyDLL(None).fork() or time.sleep(1000)")
    trainer.end()
    again = Obedient(trainers)
    assert again.do("run.beat(step=2)") == OWNER
    assert page_of(trainers).pid == again.process.pid


def test_a_forked_child_that_closes_all_files_leaves_the_lock(trainers: Trainers) -> None:
    """A child that closes all files, as a daemon does, leaves the lock to the trainer."""
    trainer = Obedient(trainers)
    trainer.do("run.beat(step=1)")
    trainer.do("child = os.fork() or os.closerange(3, 4096) or os._exit(0); os.waitpid(child, 0)")
    helper = Obedient(trainers)
    assert helper.do("run.beat(step=2)") == BYSTANDER
    assert page_of(trainers).step == 1


def test_a_script_that_closed_our_file_keeps_its_own(trainers: Trainers) -> None:
    """A script closed our descriptor, and its number now belongs to the script's own file."""
    trainer = Obedient(trainers)
    trainer.do("os.closerange(3, 4096); mine = [os.pipe() for _ in range(20)]")
    assert trainer.do("run.beat(step=1)") == OWNER
    assert trainer.do("[os.fstat(fd) for pair in mine for fd in pair]") == OWNER
    assert page_of(trainers).step == 1
    with (trainers.heartbeats / "owner-0").open("r+b") as file, pytest.raises(BlockingIOError):
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1)


def test_an_exec_of_itself_goes_on_with_the_page(trainers: Trainers) -> None:
    """An exec keeps the process, so the earlier beats are its own."""
    trainer = Obedient(trainers)
    trainer.do("run.beat(step=30)")
    assert trainer.process.stdin is not None
    trainer.process.stdin.write("os.execv(sys.executable, [sys.executable, *sys.argv])\n")
    trainer.process.stdin.flush()
    assert trainers.line(trainer.process) == "ready"
    assert trainer.do("run.beat(step=31)") == OWNER
    assert (page_of(trainers).pid, page_of(trainers).step) == (trainer.process.pid, 31)


def test_the_page_is_held_across_pid_namespaces(trainers: Trainers) -> None:
    """The owner's pid means nothing in another namespace; its lock shows that it lives."""
    unshare = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    if subprocess.run([*unshare, "true"], capture_output=True).returncode != 0:
        pytest.skip("no PID namespace can be made here")
    trainer = Obedient(trainers)
    trainer.do("run.beat(step=30)")
    code = "from supervisor.worker import attach; run = attach(); run.beat(step=5); run.finish()"
    environment = {**os.environ, "SUPERVISOR_HEARTBEAT": str(trainers.heartbeats)}
    helper = [*unshare, sys.executable, "-c", code + "; print(run.is_bystander)"]
    done = subprocess.run(helper, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
    assert (page_of(trainers).step, page_of(trainers).outcome) == (30, None)
    trainer.end()
    done = subprocess.run(helper, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("how", ["signal", "page"])
def test_a_bystander_follows_the_stop(trainers: Trainers, how: str) -> None:
    """A bystander learns of a stop by a signal, or by the byte in the owner's page."""
    trainer = Obedient(trainers)
    trainer.do("run.beat(step=30)")
    helper = Obedient(trainers)
    helper.do("assert not run.should_stop")
    if how == "signal":
        helper.process.send_signal(signal.SIGTERM)
    else:
        with (trainers.heartbeats / "rank-0").open("r+b") as file:
            file.seek(STOP_ASKED)
            file.write(b"\1")
    assert helper.do("assert run.should_stop") == BYSTANDER
    assert not page_of(trainers).stop_seen


def test_an_emptied_directory_is_filled_by_the_owner(trainers: Trainers) -> None:
    """No helper puts a page into the emptied directory; a later helper is a bystander, too."""
    parent = Obedient(trainers)
    trainer = Obedient(trainers)
    trainer.do("run.beat(step=30)")
    parent.do("run.should_stop")
    helper = Obedient(trainers)
    vanish(trainers.heartbeats)
    trainers.heartbeats.mkdir()
    for other in (parent, helper):
        other.do("run.should_stop")
    assert os.listdir(trainers.heartbeats) == []
    early = Obedient(trainers)
    early.do("run.beat(step=2)")
    assert trainer.do("run.beat(step=31); run.should_stop") == OWNER
    assert (page_of(trainers).pid, page_of(trainers).step) == (trainer.process.pid, 31)
    assert early.do("run.should_stop") == BYSTANDER
    assert Obedient(trainers).do("run.beat(step=3)") == BYSTANDER
    assert (page_of(trainers).pid, page_of(trainers).step) == (trainer.process.pid, 31)


@pytest.mark.parametrize("knows", ["remote", "nothing"])
def test_nothing_is_locked_on_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, knows: str
) -> None:
    """A lock may wait for a server that is gone, and a trainer must not wait: no lock is taken.

    The same holds if an upgrade has just removed the module that knows network file systems.
    """

    def lockf(*_: object) -> None:
        raise AssertionError("it waits for ever")

    if knows == "remote":
        monkeypatch.setattr(mounts, "is_remote", lambda _: True)
    else:
        monkeypatch.delattr(supervisor.worker, "mounts")
        monkeypatch.setitem(sys.modules, "supervisor.worker.mounts", None)
    monkeypatch.setattr(fcntl, "lockf", lockf)
    PageWriter(tmp_path / "rank-0", start_ticks=start_ticks(os.getpid()) or 0).beat(step=1)
    other = PageWriter(tmp_path / "rank-0", start_ticks=1)
    other.beat(step=2)
    assert other.is_bystander
    page = read_page(tmp_path / "rank-0")
    assert page is not None
    assert page.step == 1


STORM = """
    import os, sys, time
    from supervisor.worker import attach
    time.sleep(max(0.0, float(os.environ["BEGIN"]) - time.time()))
    run = attach()
    run.beat(step=os.getpid())
    print(run.attached, flush=True)
    sys.stdin.readline()
"""


def test_of_many_at_once_exactly_one_has_the_page(trainers: Trainers) -> None:
    """Processes attach and beat at one moment: the page is that of the only owner."""
    begin = str(time.time() + 2.0)
    processes = [trainers.start(STORM, BEGIN=begin) for _ in range(8)]
    lines = {process.pid: trainers.line(process) for process in processes}
    (owner,) = (pid for pid, line in lines.items() if line == "True")
    assert (page_of(trainers).pid, page_of(trainers).step) == (owner, owner)


def old_page(path: Path, process: subprocess.Popen[str], *, created_ns: int) -> None:
    """Do as an earlier worker: put a page over the present one, and enter a phase."""
    PageWriter(path.with_name("rank-99"), start_ticks=1)
    raw = bytearray(path.with_name("rank-99").read_bytes())
    fields = list(HEADER.unpack_from(raw))
    fields[2], fields[6], fields[7] = process.pid, start_ticks(process.pid), created_ns
    HEADER.pack_into(raw, 0, *fields)
    STATE.pack_into(raw, STATE_AT, 2, Phase.SAVE, created_ns + 1, 0, -1, -1, -1, -1, 2)
    path.with_name("rank-99").unlink()
    stage = path.with_name("stage")
    stage.write_bytes(raw)
    stage.rename(path)


@pytest.fixture
def sleeper(trainers: Trainers) -> subprocess.Popen[str]:
    """A process that does nothing, and ends with its input."""
    return trainers.start("input()", attached=False)


def test_a_helper_of_an_older_version_is_put_out_again(
    trainers: Trainers, sleeper: subprocess.Popen[str]
) -> None:
    """The helper puts its page over the trainer's; a second later the trainer's is back."""
    trainer = Obedient(trainers)
    trainer.do("run.beat(step=30)")
    seen = PageSet(trainers.heartbeats)
    assert [page.step for page in seen.read()] == [30]
    created_ns = page_of(trainers).created_monotonic_ns + 1
    old_page(trainers.heartbeats / "rank-0", sleeper, created_ns=created_ns)
    assert page_of(trainers).pid == sleeper.pid
    assert [page.pid for page in seen.read()] == [trainer.process.pid]
    assert trainer.do("run.beat(step=31); run.should_stop") == OWNER
    assert (page_of(trainers).pid, page_of(trainers).step) == (trainer.process.pid, 31)
    assert [page.step for page in seen.read()] == [31]
    seen.close()
    sleeper.communicate("\n")


def test_a_trainer_of_an_older_version_is_the_rank(
    trainers: Trainers, sleeper: subprocess.Popen[str]
) -> None:
    """Such a trainer holds no lock, but its page names a living process that has begun."""
    old_page(trainers.heartbeats / "rank-0", sleeper, created_ns=5)
    assert Obedient(trainers).do("run.beat(step=1)") == BYSTANDER
    assert page_of(trainers).pid == sleeper.pid
    sleeper.communicate("\n")
    assert Obedient(trainers).do("run.beat(step=1)") == OWNER


def test_a_trainer_of_an_older_version_that_began_first_is_the_rank(
    trainers: Trainers, sleeper: subprocess.Popen[str]
) -> None:
    """A wrapper of this version attaches before it, and beats after it."""
    wrapper = Obedient(trainers)
    created_ns = page_of(trainers).created_monotonic_ns + 1
    old_page(trainers.heartbeats / "rank-0", sleeper, created_ns=created_ns)
    assert wrapper.do("run.beat(step=1)") == BYSTANDER
    assert page_of(trainers).pid == sleeper.pid
    sleeper.communicate("\n")


def test_the_daemon_reads_no_page_of_a_process_that_came_second(trainers: Trainers) -> None:
    """The second process had attached last, so the daemon had its page open when the first beat."""
    first, second = Obedient(trainers), Obedient(trainers)
    seen = PageSet(trainers.heartbeats)
    assert [page.pid for page in seen.read()] == [second.process.pid]
    assert first.do("run.beat(step=7)") == OWNER
    assert second.do("run.beat(step=1)") == BYSTANDER
    assert [(page.pid, page.step) for page in seen.read()] == [(first.process.pid, 7)]
    seen.close()


def test_the_daemon_follows_a_rank_that_was_started_again(
    trainers: Trainers,
) -> None:
    """The daemon reads a page that replaces one of a dead process, or of one without a beat."""
    seen = PageSet(trainers.heartbeats)
    parent = Obedient(trainers)
    assert [page.pid for page in seen.read()] == [parent.process.pid]
    first = Obedient(trainers)
    first.do("run.beat(step=4)")
    assert [page.pid for page in seen.read()] == [first.process.pid]
    first.end()
    second = Obedient(trainers)
    second.do("run.beat(step=5)")
    assert [page.step for page in seen.read()] == [5]
    seen.close()
