"""One hook in its child process: its facts, its end, its output, and that nothing of it is left."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from supervisor.hooks.facts import FACTS, as_json, as_variables
from supervisor.hooks.hook_child import HookChild, HookOrder, HookResult
from supervisor.hooks.kept_output import FILE_BYTES, FIRST_BYTES, LAST_BYTES
from supervisor.hooks.occasions import Fact
from supervisor.system import procfs
from supervisor.system.clock import monotonic_s

PATIENCE_S = 60.0
GIVEN: dict[str, Fact] = {"event": "held", "run": "r", "attempt": 3, "saved": True, "reason": None}


@pytest.fixture
def children() -> Iterator[list[HookChild]]:
    """Hooks that are ended with the test."""
    begun: list[HookChild] = []
    yield begun
    for one in begun:
        one.close()


def order(folder: Path, *command: str, timeout_s: float = PATIENCE_S, **more: object) -> HookOrder:
    """An order for one hook."""
    facts: dict[str, object] = {
        "facts": as_json(GIVEN).decode(), "variables": as_variables(GIVEN), "heading": "a test",
        "log": str(folder / "logs" / "hook.log"), "daemon_pid": os.getpid(),
    }  # fmt: skip
    return HookOrder(command, timeout_s, **{**facts, **more})  # type: ignore[arg-type]


def wait(claim: Callable[[], object]) -> None:
    """Wait until a claim is true."""
    until = time.monotonic() + PATIENCE_S
    while not claim():
        assert time.monotonic() < until, "never came true"
        time.sleep(0.01)


def ended(child: HookChild) -> HookResult:
    """Wait for a hook's end."""
    results: list[HookResult] = []

    def poll() -> bool:
        found = child.poll(monotonic_s())
        results.extend([] if found is None else [found])
        return found is not None

    wait(poll)
    return results[0]


def carried_out(folder: Path, *command: str, **more: object) -> HookResult:
    """Run a hook to its end."""
    return ended(HookChild(order(folder, *command, **more), monotonic_s()))  # type: ignore[arg-type]


def log(folder: Path) -> bytes:
    """What the hook printed, with the lines around it."""
    return (folder / "logs" / "hook.log").read_bytes()


def printed_pid(folder: Path) -> int:
    """The one number that the hook prints, once it has."""
    path = folder / "logs" / "hook.log"
    wait(lambda: path.exists() and any(line.isdigit() for line in log(folder).splitlines()))
    (pid,) = [int(line) for line in log(folder).splitlines() if line.isdigit()]
    return pid


def lives(pid: int) -> bool:
    """Whether a process has not ended."""
    process = procfs.read_process(pid)
    return process is not None and not process.has_ended


def sh(script: str) -> tuple[str, ...]:
    """A hook of a few lines."""
    return "sh", "-c", script


def test_a_hook_gets_its_facts_twice(tmp_path: Path) -> None:
    """As JSON on its standard input, and as variables, with the environment of this process."""
    script = "import json, os, sys; json.dump([json.load(sys.stdin), dict(os.environ)], sys.stdout)"
    result = carried_out(tmp_path, sys.executable, "-c", script)
    assert result == HookResult(None, result.lines)
    head, said, end = log(tmp_path).splitlines()
    assert head.endswith(b"a test")
    assert end == b"== exit code 0"
    told, environ = json.loads(said)
    assert told == {**dict.fromkeys(FACTS), **GIVEN}
    assert environ["SUPERVISOR_HOOK_EVENT"] == "held"
    assert environ["SUPERVISOR_HOOK_ATTEMPT"] == "3"
    assert environ["SUPERVISOR_HOOK_SAVED"] == "true"
    assert environ["SUPERVISOR_HOOK_REASON"] == ""
    assert environ["PATH"] == os.environ["PATH"]
    # With these the launcher would take the hook for a process of the attempt, and end it.
    assert procfs.RUN_ID not in environ
    assert procfs.ATTEMPT not in environ


def test_a_hook_that_does_not_read_its_facts_is_as_well(tmp_path: Path) -> None:
    """Even if they are more than a pipe holds."""
    assert carried_out(tmp_path, "true", facts="x" * (1 << 20)).refused is None


@pytest.mark.parametrize(
    ("command", "refused"),
    [
        (sh("echo no room; exit 3"), "exit code 3"),
        (sh("echo no room; kill -KILL $$"), "ended by SIGKILL"),
        (("/no/such/program",), "cannot be started: No such file or directory"),
        (("no-such-program",), "cannot be started: No such file or directory"),
        (("./text",), "cannot be started: Permission denied"),
    ],
)
def test_how_it_failed_is_told(
    tmp_path: Path, command: tuple[str, ...], refused: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the last lines that it printed."""
    (tmp_path / "text").write_text("#!/bin/sh\n")
    monkeypatch.chdir(tmp_path)
    result = carried_out(tmp_path, *command)
    assert result.refused == refused
    assert result.lines == (("no room",) if command[0] == "sh" else ())
    assert log(tmp_path).splitlines()[-1] == b"== " + refused.encode()


@pytest.mark.parametrize("way", ["", "setsid ", "nohup setsid ", "env -i "])
def test_what_it_starts_is_gone_when_it_is_over(tmp_path: Path, way: str) -> None:
    """Also from a session of its own, without the environment, and orphaned twice."""
    script = f"(({way}sh -c 'echo $$; exec sleep 1000') & ) ; ({way}sleep 1000 &) ; sleep 0.2"
    assert carried_out(tmp_path, *sh(script)).refused is None
    pids = [int(line) for line in log(tmp_path).splitlines() if line.isdigit()]
    assert len(pids) == 1
    assert not lives(pids[0])


def test_all_of_it_is_gone_at_the_deadline(tmp_path: Path) -> None:
    """Also what ignores SIGTERM, and forks again and again."""
    script = "trap '' TERM HUP; setsid sleep 1000 & echo $! ; echo $$; while :; do sleep 0.05; done"
    result = carried_out(tmp_path, *sh(script), timeout_s=0.5)
    assert result.refused == "did not end within 0.5 s"
    pids = [int(line) for line in log(tmp_path).splitlines() if line.isdigit()]
    assert len(pids) == 2
    assert not any(map(lives, pids))


def test_a_stop_ends_it_at_once(tmp_path: Path, children: list[HookChild]) -> None:
    """`close` returns when all of it is gone."""
    words = sh("setsid sleep 1000 & echo $!; sleep 1000")
    children.append(HookChild(order(tmp_path, *words), monotonic_s()))
    pid = printed_pid(tmp_path)
    assert lives(pid)
    children[0].close()
    assert not lives(pid)
    assert log(tmp_path).splitlines()[-1] == b"== ended by the supervisor"


def test_the_death_of_the_daemon_ends_it(tmp_path: Path) -> None:
    """By SIGKILL, so that the daemon can do nothing about it."""
    script = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from tests.hooks.test_hook_child import order, sh\n"
        "from supervisor.hooks.hook_child import HookChild\n"
        "words = sh('setsid sleep 1000 & echo $!; sleep 1000')\n"
        "child = HookChild(order(Path(sys.argv[1]), *words), time.monotonic())\n"
        "time.sleep(1000)\n"
    )
    daemon = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)])
    pid = printed_pid(tmp_path)
    daemon.send_signal(signal.SIGKILL)
    daemon.wait()
    wait(lambda: not lives(pid))
    wait(lambda: log(tmp_path).splitlines()[-1] == b"== ended by the supervisor")


def test_a_hook_that_prints_without_end_is_not_held_up(tmp_path: Path) -> None:
    """100 MB: the file has the first part and the last, and says how much lies between."""
    words = "yes 0123456789abcde | head -c 104857600; echo; echo the last line"
    assert carried_out(tmp_path, *sh(words)).lines[-1] == "the last line"
    kept = log(tmp_path)
    assert FIRST_BYTES + LAST_BYTES < len(kept) < FIRST_BYTES + 4 * LAST_BYTES
    (between,) = [line for line in kept.splitlines() if line.startswith(b"[")]
    left_out = int(between.split()[0][1:])
    assert b"the last line\n== exit code 0\n" in kept
    around = kept.count(b"\n", kept.rindex(b"==")) + 1
    assert around == 2
    printed = 104857600 + len("\nthe last line\n")
    heading, closing = kept.index(b"\n") + 1, len(b"== exit code 0\n")
    assert len(kept) - heading - closing - len(between) - 2 == printed - left_out


def test_the_file_starts_anew_when_it_is_full(tmp_path: Path) -> None:
    """The outputs before are kept beside it, once."""
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "hook.log").write_bytes(b"x" * FILE_BYTES)
    carried_out(tmp_path, "echo", "new")
    assert b"new\n" in log(tmp_path)
    assert (folder / "hook.log.1").stat().st_size == FILE_BYTES
    assert (folder / "hook.log").stat().st_mode & 0o777 == 0o600


def test_a_disk_that_refuses_the_output_fails_nothing(tmp_path: Path) -> None:
    """What it says is then told all the same."""
    result = carried_out(tmp_path, *sh("echo why; exit 1"), log="/dev/full/hook.log")
    assert (result.refused, result.lines) == ("exit code 1", ("why",))
    assert result.log_error is not None
    full = carried_out(tmp_path, *sh("echo why; exit 1"), log="/dev/full")
    assert (full.refused, full.lines, full.log_error) == (
        "exit code 1", ("why",), "No space left on device",
    )  # fmt: skip


def test_no_secret_is_in_what_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values of variables with telling names, addresses of `notify`, and a login in an address."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2hunter2")
    script = (
        "echo $AWS_SECRET_ACCESS_KEY https://me:pass@host/x Authorization: Bearer abcdef123; "
        "echo ntfy://my-topic; exit 1"
    )
    result = carried_out(tmp_path, *sh(script), secrets=("ntfy://my-topic",))
    assert result.lines == (
        "[AWS_SECRET_ACCESS_KEY] https://[secret]@host/x Authorization: Bearer [secret]",
        "[secret]",
    )


SECRET = "s3cr3t-ABCDEFGHIJKLMNOPQRSTUVWXYZ-0123456789"


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        ("e" * 290, " bad"),  # at the end of what is told of a line
        ("", "y" * ((16 << 10) - 40) + "\nbad"),  # where the kept output begins
        ("https://user:" + "p" * 290, "@host/ failed"),
    ],
)
def test_no_part_of_a_secret_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begin: str, end: str
) -> None:
    """Wherever the output and its lines are cut."""
    monkeypatch.setenv("API_TOKEN", SECRET)
    code = f"import sys; sys.stdout.write({begin!r} + {SECRET!r} + {end!r}); sys.exit(1)"
    said = " ".join(carried_out(tmp_path, sys.executable, "-c", code).lines)
    assert said
    assert not any(SECRET[at : at + 6] in said for at in range(len(SECRET) - 6))
    assert "pppp" not in said


def test_the_lines_of_a_secret_are_told_as_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key in PEM is printed line by line; a value from a file ends with a line feed."""
    monkeypatch.setenv("PEM_KEY", "-----BEGIN-----\nMIIsecretline1\n  MIIsecretline2\n}\n")
    monkeypatch.setenv("UPLOAD_TOKEN", "hunter2hunter2\n")
    result = carried_out(tmp_path, *sh("echo MIIsecretline2 }; echo at hunter2hunter2.; exit 1"))
    assert result.lines == ("[PEM_KEY] }", "at [UPLOAD_TOKEN].")


def test_a_protection_from_the_oom_killer_is_not_the_hooks(tmp_path: Path) -> None:
    """Else the kernel would kill the trainer for the memory that a hook takes."""
    score = Path("/proc/self/oom_score_adj")
    before = score.read_text()
    try:
        score.write_text("-500")
    except PermissionError:
        pytest.skip("may not lower oom_score_adj here")
    try:
        result = carried_out(tmp_path, *sh("cat /proc/self/oom_score_adj; exit 1"))
    finally:
        score.write_text(before)
    assert result.lines == ("0",)


def test_its_files_have_the_users_mode(tmp_path: Path) -> None:
    """The daemon keeps others out of its files, and a checkpoint that a hook brings is a user's."""
    made = tmp_path / "made"
    before = os.umask(0o077)
    try:
        carried_out(tmp_path, "touch", str(made), umask=0o022)
    finally:
        os.umask(before)
    assert made.stat().st_mode & 0o777 == 0o644


def test_a_child_that_is_killed_gives_no_answer(tmp_path: Path, children: list[HookChild]) -> None:
    """The kernel ends the hook with it."""
    children.append(HookChild(order(tmp_path, *sh("echo $$; sleep 1000")), monotonic_s()))
    pid = printed_pid(tmp_path)
    process = procfs.read_process(pid)
    assert process is not None
    os.kill(process.ppid, signal.SIGKILL)
    refused = ended(children[0]).refused
    assert refused == "the process that runs it has ended without an answer"
    wait(lambda: not lives(pid))


def test_a_later_version_may_say_more_in_an_order(tmp_path: Path) -> None:
    """After an upgrade the daemon of the version before starts a child of the new one, and back."""
    given = order(tmp_path, "true")
    said = json.loads(json.dumps({**asdict(given), "retries": 3}))
    assert HookOrder.from_json(said) == given
