"""Starting a trainer: what it inherits, and what the launcher reports if it cannot start."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from supervisor.system import identity, procfs

if TYPE_CHECKING:
    from tests.launcher.conftest import Rig

INSPECT = """\
import json, os, signal, sys
fds = []
for fd in range(3, 256):
    try:
        os.fstat(fd)
        fds.append(fd)
    except OSError:
        pass
ignored = [int(s) for s in signal.valid_signals() if signal.getsignal(s) == signal.SIG_IGN]
facts = {
    "pid": os.getpid(), "sid": os.getsid(0), "ppid": os.getppid(), "cwd": os.getcwd(),
    "env": dict(os.environ), "fds": fds, "ignored": ignored,
    "blocked": [int(s) for s in signal.pthread_sigmask(signal.SIG_BLOCK, ())],
    "stdin": os.readlink("/proc/self/fd/0"), "argv": sys.argv[1:],
}
print("on stdout", flush=True)
print("on stderr", file=sys.stderr)
open("facts.tmp", "w").write(json.dumps(facts))
os.rename("facts.tmp", "facts")
"""


def test_the_trainer_gets_what_it_needs_and_nothing_of_ours(rig: Rig) -> None:
    """A fresh trainer has its own session, directory, log, environment and descriptors."""
    rig.log.write_text("an earlier attempt\n")
    read_fd, write_fd = os.pipe()
    os.set_inheritable(write_fd, True)
    rig.start(
        "--lock-fd", str(write_fd), pass_fds=[write_fd], env={"GONE": "1", "KEPT": "2", "SET": "3"}
    )
    os.close(write_fd)
    daemon = rig.daemon()
    assert daemon.hello["launcher_pid"] == rig.pid
    assert daemon.hello["attempt"] is None
    assert daemon.hello["last_exit"] is None
    assert daemon.hello["signals"] == []
    assert daemon.hello["daemon_restarts"] == 0
    script = rig.script("inspect_me.py", INSPECT)
    # An argument that is not UTF-8 arrives unchanged.
    odd = b"\xff\xfe".decode("utf-8", "surrogateescape")
    started = rig.launch(
        daemon, sys.executable, script, odd, env={"SET": "new"}, unset=["GONE"], attempt=7
    )
    exited = daemon.expect("exited")
    facts = json.loads((rig.folder / "facts").read_text())
    launcher = identity.identify(rig.pid)
    assert launcher is not None
    assert started["pid"] == facts["pid"] == facts["sid"]
    assert facts["ppid"] == rig.pid
    assert facts["cwd"] == str(rig.folder)
    assert facts["stdin"] == "/dev/null"
    assert facts["argv"] == [odd]
    assert facts["fds"] == []
    assert facts["blocked"] == []
    # Python itself ignores these two.
    assert set(facts["ignored"]) == {signal.SIGPIPE, signal.SIGXFSZ}
    assert "GONE" not in facts["env"]
    assert facts["env"]["KEPT"] == "2"
    assert facts["env"]["SET"] == "new"
    assert facts["env"]["SUPERVISOR_RUN_ID"] == rig.run_id
    assert facts["env"]["SUPERVISOR_ATTEMPT"] == "7"
    namespace = os.stat("/proc/self/ns/pid").st_ino
    who = f"{rig.pid}:{launcher.start_ticks}:{namespace}"
    assert facts["env"]["SUPERVISOR_LAUNCHER"] == who
    assert rig.log.read_text() == "an earlier attempt\non stdout\non stderr\n"
    assert exited["attempt"] == 7
    assert (exited["code"], exited["signal"], exited["leftovers"]) == (0, None, 0)
    assert exited["peak_rss_bytes"] > 1 << 20
    assert exited["monotonic"] >= started["monotonic"]
    rig.finish(daemon)
    # Only the launcher had the lock: with it gone, the pipe is at its end.
    assert os.read(read_fd, 1) == b""
    os.close(read_fd)


def test_a_new_log_is_private(rig: Rig) -> None:
    """train.log is readable by the user alone."""
    rig.start()
    daemon = rig.daemon()
    rig.launch(daemon, "true")
    daemon.expect("exited")
    assert rig.log.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("change", "number", "named"),
    [
        ({"argv": ["no-such-program"]}, 2, "No such file or directory: 'no-such-program'"),
        ({"cwd": "/no/such/folder"}, 2, "No such file or directory: '/no/such/folder'"),
        ({"argv": ["./plain"]}, 13, "Permission denied: './plain'"),
        ({"log": "/proc/nothing/x.log"}, 2, "'/proc/nothing/x.log'"),
        ({"argv": []}, 0, "the argument list is empty"),
        ({"argv": ["x\0y"]}, 0, "null"),
    ],
)
def test_a_failed_start_is_reported_with_its_errno(
    rig: Rig, change: dict[str, object], number: int, named: str
) -> None:
    """The error of exec, chdir or open is reported, and the next launch works."""
    (rig.folder / "plain").write_text("not executable")
    rig.start()
    daemon = rig.daemon()
    daemon.send("launch", **{**rig.request("true"), **change})
    failed = daemon.expect("start_failed")
    assert failed["errno"] == number
    assert named in failed["message"]
    assert failed["attempt"] == 1
    rig.launch(daemon, "true", attempt=2)
    assert daemon.expect("exited")["attempt"] == 2
    assert [m["is"] for m in daemon.seen].count("exited") == 1


def test_no_launch_over_a_living_attempt(rig: Rig) -> None:
    """A second launch is refused and changes nothing."""
    rig.start()
    daemon = rig.daemon()
    started = rig.launch(daemon, "sleep", "1000")
    daemon.send("launch", **rig.request("touch", "second", attempt=2))
    refused = daemon.expect("start_failed")
    assert refused["attempt"] == 2
    assert "still lives" in refused["message"]
    assert not rig.is_gone(started["pid"])
    assert not (rig.folder / "second").exists()


def test_how_a_trainer_ended_is_told(rig: Rig) -> None:
    """Code and signal in `exited` are those of the main process."""
    rig.start()
    daemon = rig.daemon()
    rig.launch(daemon, "sh", "-c", "exit 3")
    assert daemon.expect("exited")["code"] == 3
    rig.launch(daemon, "sh", "-c", "kill -9 $$", attempt=2)
    exited = daemon.expect("exited")
    assert (exited["code"], exited["signal"]) == (None, 9)


def test_an_exit_is_noticed_within_5_ms(rig: Rig) -> None:
    """The best of 40 delays between SIGKILL and the message's time stamp is below 5 ms."""
    rig.start()
    daemon = rig.daemon()
    delays = []
    for attempt in range(1, 40):
        started = rig.launch(daemon, "sleep", "1000", attempt=attempt)
        killed_at = time.monotonic()
        os.kill(started["pid"], signal.SIGKILL)
        exited = daemon.expect("exited")
        delays.append(exited["monotonic"] - killed_at)
        if attempt >= 5 and min(delays) <= 0.005:
            break
    assert min(delays) <= 0.005, delays


def test_leftovers_of_a_dead_launcher_are_ended_before_a_launch(rig: Rig) -> None:
    """Processes with our run id are ended; another run's, and one that only mentions it, stay."""

    def sleeper(**marks: str) -> subprocess.Popen[bytes]:
        env = {**os.environ, **marks}
        return subprocess.Popen(["sleep", "1000"], env=env, start_new_session=True)

    ours = sleeper(SUPERVISOR_RUN_ID=rig.run_id, SUPERVISOR_ATTEMPT="3")
    others = [
        sleeper(SUPERVISOR_RUN_ID=rig.run_id + "0", SUPERVISOR_ATTEMPT="3"),
        sleeper(XSUPERVISOR_RUN_ID=rig.run_id),
        sleeper(),
    ]
    try:
        rig.start()
        daemon = rig.daemon()
        rig.launch(daemon, "true", attempt=4)
        assert ours.wait(30) == -signal.SIGKILL
        daemon.expect("exited")
        assert [other.poll() for other in others] == [None, None, None]
    finally:
        for process in (ours, *others):
            process.kill()
            process.wait()


def test_a_launcher_started_inside_a_trainer_does_not_carry_its_marks(rig: Rig) -> None:
    """Launcher and daemon do not belong to the attempt whose environment they inherited."""
    rig.start(env={"SUPERVISOR_RUN_ID": rig.run_id, "SUPERVISOR_ATTEMPT": "1"})
    daemon = rig.daemon()
    for pid in (rig.pid, daemon.pid):
        environ = procfs.read_environ(pid)
        assert environ is not None
        assert not procfs.has_mark(environ, procfs.RUN_ID)
    rig.launch(daemon, "true", attempt=2)
    daemon.expect("exited")
    rig.finish(daemon)


def test_the_trainer_may_be_killed_by_the_oom_killer_like_any_other(
    rig: Rig, tmp_path: Path
) -> None:
    """A supervisor protected by oom_score_adj does not pass its protection on."""
    rig.start()
    daemon = rig.daemon()
    try:
        Path(f"/proc/{rig.pid}/oom_score_adj").write_text("-500")
    except PermissionError:
        pytest.skip("may not lower oom_score_adj here")
    started = rig.launch(daemon, "sleep", "1000")
    score = Path(f"/proc/{started['pid']}/oom_score_adj")
    rig.wait_until(lambda: int(score.read_text()) == 0, "score 0")
