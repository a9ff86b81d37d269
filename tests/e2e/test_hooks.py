"""Hooks of real runs: what each is told, and that none of them can hold up or outlive its run."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor.system import procfs
from tests.e2e.conftest import HANG, Supervised

NAMES = ("before_launch", "attempt_ended", "checkpoint_proven", "held", "finished")
# Adds a line of JSON to the file that the hook is named with: its standard input and its variables.
NOTE = """
import json, os, sys
mine = {name: text for name, text in os.environ.items() if name.startswith("SUPERVISOR_HOOK_")}
with open(sys.argv[1], "a") as file:
    file.write(json.dumps({"told": json.load(sys.stdin), "variables": mine}) + "\\n")
"""


def noting(path: Path) -> list[str]:
    """A hook that notes what it was told."""
    return [sys.executable, "-c", NOTE, str(path)]


def notes(path: Path) -> list[dict[str, Any]]:
    """What a hook was told, each time that it ran."""
    if not path.exists():
        return []
    return [json.loads(line)["told"] for line in path.read_text().splitlines()]


def sh(script: str) -> list[str]:
    """A hook of a few lines."""
    return ["sh", "-c", script]


def lives(pid: int) -> bool:
    """Whether a process has not ended."""
    process = procfs.read_process(pid)
    return process is not None and not process.has_ended


def numbers(path: Path) -> list[int]:
    """The numbers that a hook wrote into a file, whole lines alone."""
    if not path.exists():
        return []
    return [int(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def words(text: str) -> str:
    """A text in one line."""
    return " ".join(text.split())


def failures(run: Supervised) -> list[str]:
    """The failed hooks on record."""
    return [entry["reason"] for entry in run.entries("hook_failed")]


@pytest.fixture
def pids(tmp_path: Path) -> Iterator[Path]:
    """A file for pids of processes that must not outlive their hook."""
    path = tmp_path / "pids"
    yield path
    for pid in numbers(path):
        if lives(pid):
            os.kill(pid, signal.SIGKILL)


def test_each_hook_is_told_what_happened(run: Supervised, tmp_path: Path) -> None:
    """Of a run that dies once and finishes; as JSON and in variables alike."""
    hooks = {name: noting(tmp_path / name) for name in NAMES}
    faults = json.dumps({"1": [15, "raise"]})
    run.configure(hooks=hooks, env={"FAULTS": faults})
    assert run.run() == 0
    launches = notes(tmp_path / "before_launch")
    assert [one["attempt"] for one in launches] == [1, 2]
    assert [one["newest_step"] for one in launches] == [None, 10]
    assert launches[1]["newest_checkpoint"] == str(run.run_dir / "checkpoint-10")
    ends = notes(tmp_path / "attempt_ended")
    assert ends[0]["attempt"] == 1
    assert (ends[0]["failure"], ends[0]["exit_code"], ends[0]["step"]) == ("exception", 1, 15)
    assert ends[-1]["exit_code"] == 0
    proven = notes(tmp_path / "checkpoint_proven")
    assert (proven[-1]["step"], proven[-1]["attempt"]) == (40, 2)
    assert proven[-1]["checkpoint"] == str(run.run_dir / "checkpoint-40")
    assert [one["step"] for one in proven] == sorted({one["step"] for one in proven})
    (end,) = notes(tmp_path / "finished")
    assert (end["state"], end["attempt"], end["run"]) == ("completed", 2, "e2e")
    assert end["run_dir"] == str(run.run_dir)
    assert not notes(tmp_path / "held")
    line = json.loads((tmp_path / "finished").read_text())
    for name, fact in line["told"].items():
        said = line["variables"][f"SUPERVISOR_HOOK_{name.upper()}"]
        assert said == ("" if fact is None else str(fact))
    assert not failures(run)
    assert run.status["warnings"] == []


def test_a_held_run_runs_its_hook_before_the_supervisor_ends(
    run: Supervised, tmp_path: Path
) -> None:
    """Once: a start that finds the run held does not run it again."""
    hooks = {"held": noting(tmp_path / "held")}
    run.configure(hooks=hooks, command=sh("exit 1"), restart={"max_failures": 1})
    assert run.run() == 1
    (told,) = notes(tmp_path / "held")
    assert (told["state"], told["attempt"]) == ("held", 1)
    assert run.run() == 1
    assert len(notes(tmp_path / "held")) == 1


def test_a_resume_ends_the_wait_for_the_hooks_of_a_held_run(run: Supervised, pids: Path) -> None:
    """The supervisor says that it waits, also in the status; then the run can be started."""
    hook = sh(f"echo $$ >> {pids}; sleep 1000")
    run.configure(hooks={"held": hook}, command=sh("exit 1"), restart={"max_failures": 1})
    run.start()
    line = "waiting for the hook held; a signal ends it, and so does `supervisor resume`"
    run.wait(lambda: line in words(run.text))
    run.wait(lambda: any(line in one for one in run.status["warnings"]))
    assert line in words(run.command("status").stdout)
    assert run.raw("run", str(run.config)).returncode == 69
    said = words(run.command("resume").stdout)
    assert "its supervisor, which waits for hooks, ends now, and the run may start again" in said
    assert run.finish() == 1
    assert not any(map(lives, numbers(pids)))
    assert not any(line in one for one in run.status["warnings"])
    run.configure()
    assert run.run() == 0


def test_before_launch_may_refuse_and_is_asked_again(run: Supervised, tmp_path: Path) -> None:
    """It refuses twice: told, waited for, ended by `resume` or by time; then the run finishes."""
    count = tmp_path / "count"
    script = f"echo x >> {count}; echo no GPU is healthy; test $(wc -l < {count}) -ge 3"
    run.configure(hooks={"before_launch": sh(script)})
    run.let_go()
    run.start()
    run.wait(lambda: run.status.get("state") == "waiting")
    status = run.status
    assert status["failure"] == "launch_refused"
    assert "no GPU is healthy" in status["reason"]
    assert "exit code 1" in status["reason"]
    assert status["next_at"] is not None
    assert "no GPU is healthy" in words(run.command("status").stdout)
    # The first wait of ten seconds passes by itself.
    run.wait(lambda: len(run.entries("decision")) == 2)
    assert [entry["wait_s"] for entry in run.entries("decision")] == [10.0, 20.0]
    run.command("resume")
    assert run.finish() == 0
    assert count.read_text() == "x\n" * 3
    assert run.text.count("no GPU is healthy") == 2
    assert "no GPU is healthy" in words(run.command("events").stdout)
    assert len(run.entries("attempt_started")) == 1


def test_a_hook_that_cannot_be_started_refuses(run: Supervised, tmp_path: Path) -> None:
    """The launch waits until the program is there and executable."""
    program = tmp_path / "hook.sh"
    program.write_text("#!/bin/sh\nexit 0\n")
    run.configure(hooks={"before_launch": [str(program)]})
    run.let_go()
    run.start()
    run.wait(lambda: run.status.get("state") == "waiting")
    assert "cannot be started: Permission denied" in run.status["reason"]
    program.chmod(0o755)
    run.command("resume")
    assert run.finish() == 0


def test_a_deadline_that_passes_refuses_too(run: Supervised, pids: Path) -> None:
    """Nothing of the hook is left, also not what made a session of its own."""
    script = f"setsid sleep 1000 & echo $! >> {pids}; sleep 1000"
    run.configure(hooks={"before_launch": {"command": sh(script), "timeout": "1s"}})
    run.start()
    run.wait(lambda: run.status.get("state") == "waiting")
    assert "did not end within 1 s" in run.status["reason"]
    (pid,) = numbers(pids)
    assert not lives(pid)
    run.command("stop")
    assert run.finish() == 75
    assert run.status["state"] == "stopped"


@pytest.mark.parametrize("way", ["SIGTERM", "SIGINT", "stop", "hold"])
def test_a_stop_during_before_launch_ends_the_run_at_once(
    run: Supervised, pids: Path, way: str
) -> None:
    """The hook and all that it started are gone with the supervisor."""
    script = f"setsid sleep 1000 & echo $! >> {pids}; sleep 1000"
    run.configure(hooks={"before_launch": sh(script)})
    process = run.start()
    run.wait(lambda: numbers(pids))
    run.wait(lambda: run.status.get("state") == "launching")
    assert run.status["reason"] == "the hook before_launch runs"
    if way.startswith("SIG"):
        process.send_signal(getattr(signal, way))
    else:
        run.command(way)
    assert run.finish() == (1 if way == "hold" else 75)
    assert run.status["state"] == {"stop": "stopped", "hold": "held"}.get(way, "preempted")
    assert not any(map(lives, numbers(pids)))
    assert not run.entries("attempt_started")


def test_what_before_launch_brings_to_an_empty_disk_is_resumed_from(
    run: Supervised, tmp_path: Path
) -> None:
    """The checkpoints of the run are lost between two starts, and the hook has a copy."""
    places = {"checkpoints": {"directory": str(tmp_path / "scratch")}}
    env = {"OUTPUT": tmp_path / "scratch"}
    copy = tmp_path / "copy"
    proven = sh(f"mkdir -p {copy} && cp -a $SUPERVISOR_HOOK_CHECKPOINT {copy}/")
    (tmp_path / "scratch").mkdir()
    run.configure(hooks={"checkpoint_proven": proven}, hold=25, env=env, **places)
    process = run.start()
    run.wait_step(25)
    run.wait(lambda: (copy / "checkpoint-20").exists())
    process.send_signal(signal.SIGTERM)
    assert run.finish() == 75
    for path in (tmp_path / "scratch").iterdir():
        path.rename(tmp_path / f"lost-{path.name}")
    before = sh(f"cp -a {copy}/. $SUPERVISOR_HOOK_CHECKPOINT_DIR/")
    run.configure(hooks={"before_launch": before}, env=env, **places)
    assert run.run() == 0
    assert run.entries("attempt_started")[-1]["checkpoint"]["step"] == 25
    assert not run.entries("hook_failed")


def test_from_nothing_stands_whatever_before_launch_brings(run: Supervised, tmp_path: Path) -> None:
    """The run begins from nothing, and what was brought is set aside, not trained over."""
    copy, facts = tmp_path / "copy", tmp_path / "facts"
    run.configure(hold=15)
    process = run.start()
    run.wait_step(15)
    process.send_signal(signal.SIGTERM)
    assert run.finish() == 75
    copy.mkdir()
    for path in run.run_dir.glob("checkpoint-*"):
        path.rename(copy / path.name)
    script = f"echo from_nothing=$SUPERVISOR_HOOK_FROM_NOTHING >> {facts}"
    script += f"; cp -a {copy}/checkpoint-15 $SUPERVISOR_HOOK_CHECKPOINT_DIR/"
    run.configure(
        hooks={"before_launch": sh(script)}, env={"FAULTS": json.dumps({"2": [12, "raise"]})}
    )
    assert run.run("--from-nothing") == 0
    sources = [entry["checkpoint"] for entry in run.entries("attempt_started")]
    assert sources[:2] == [None, None]
    assert facts.read_text().splitlines() == ["from_nothing=1", "from_nothing="]
    (aside,) = [one for one in run.entries("checkpoint_removed") if one["why"] == "superseded"]
    assert aside["path"] == str(run.run_dir / "checkpoint-15")
    events = words(run.command("events").stdout)
    assert "The run goes on without them; set aside: checkpoint-15." in events


def test_a_run_whose_checkpoints_the_hook_does_not_bring_is_held(
    run: Supervised, tmp_path: Path
) -> None:
    """The hook is asked first, and then the hold says what is missing."""
    run.configure(hold=15)
    process = run.start()
    run.wait_step(15)
    process.send_signal(signal.SIGTERM)
    assert run.finish() == 75
    for path in run.run_dir.glob("checkpoint-*"):
        path.rename(tmp_path / f"lost-{path.name}")
    run.configure(hooks={"before_launch": noting(tmp_path / "asked")})
    assert run.run() == 1
    assert len(notes(tmp_path / "asked")) == 1
    assert run.status["failure"] == "checkpoints_missing"


def test_a_hook_that_hangs_delays_no_relaunch(run: Supervised, pids: Path) -> None:
    """The next attempt trains, and is followed by another, while the first hook still hangs."""
    script = f"echo $$ >> {pids}; exec sleep 1000"
    faults = json.dumps({"1": [12, "raise"], "2": [22, "raise"]})
    run.configure(hooks={"attempt_ended": sh(script)}, env={"FAULTS": faults}, hold=30)
    process = run.start()
    run.wait_step(30, 3)
    assert len(numbers(pids)) == 1
    assert lives(numbers(pids)[0])
    # At the end it is waited for, and a second signal ends it.
    process.send_signal(signal.SIGTERM)
    run.wait(lambda: "waiting for the hook attempt_ended" in run.text)
    process.send_signal(signal.SIGTERM)
    assert run.finish() == 75
    assert not any(map(lives, numbers(pids)))
    assert run.status["state"] == "preempted"


def test_the_grace_of_a_stop_bounds_the_wait(run: Supervised, pids: Path) -> None:
    """A scheduler kills what lives on after it: the supervisor has ended before."""
    run.configure(hooks={"attempt_ended": sh(f"echo $$ >> {pids}; sleep 1000")}, grace="4s", hold=5)
    process = run.start()
    run.wait_step(5)
    process.send_signal(signal.SIGTERM)
    assert run.finish() == 75
    assert "and with it the hook attempt_ended" in run.text
    assert not any(map(lives, numbers(pids)))


def test_the_grace_bounds_the_wait_however_the_run_ends(run: Supervised, pids: Path) -> None:
    """A stop may find the training finished."""
    hook = sh(f"echo $$ >> {pids}; sleep 1000")
    run.configure(hooks={"finished": hook}, grace="4s", hold=25, finish={"step": 25})
    process = run.start()
    run.wait_step(25)
    process.send_signal(signal.SIGTERM)
    assert run.finish() == 0
    assert run.status["state"] == "completed"
    assert "and with it the hook finished" in run.text
    assert not any(map(lives, numbers(pids)))


def test_the_newest_checkpoint_replaces_those_that_wait(run: Supervised, tmp_path: Path) -> None:
    """While the first is copied all others are proven: only the last one follows."""
    gate, steps = tmp_path / "copied", tmp_path / "steps"
    script = f"echo $SUPERVISOR_HOOK_STEP >> {steps}; while ! test -e {gate}; do sleep 0.05; done"
    run.configure(hooks={"checkpoint_proven": sh(script)}, env={"SAVE_EVERY": 5}, hold=8)
    run.start()
    run.wait(lambda: numbers(steps) == [5])
    run.let_go()
    run.wait(lambda: "waiting for the hook checkpoint_proven" in run.text)
    assert run.status["state"] == "completed"
    gate.touch()
    assert run.finish() == 0
    assert numbers(steps) == [5, 40]


def test_a_checkpoint_that_is_being_copied_is_not_pruned(run: Supervised, tmp_path: Path) -> None:
    """It is beyond `keep` long before the hook has ended."""
    gate, steps = tmp_path / "copied", tmp_path / "steps"
    script = (
        f"echo $SUPERVISOR_HOOK_STEP >> {steps}; while ! test -e {gate}; do sleep 0.05; done;"
        " test -e $SUPERVISOR_HOOK_CHECKPOINT/model.pt"
    )
    hooks = {"checkpoint_proven": sh(script)}
    run.configure(hooks=hooks, checkpoints={"keep": 2}, env={"SAVE_EVERY": 5}, hold=8)
    run.start()
    run.wait(lambda: numbers(steps) == [5])
    run.let_go()
    run.wait(lambda: "waiting for the hook checkpoint_proven" in run.text)
    assert (run.run_dir / "checkpoint-5").exists()
    assert not (run.run_dir / "checkpoint-10").exists()
    gate.touch()
    assert run.finish() == 0
    assert not failures(run)


def test_what_a_rollback_goes_back_to_is_not_pruned_while_the_hook_runs(
    run: Supervised, tmp_path: Path
) -> None:
    """Checkpoints are looked at meanwhile, and `keep: 1` leaves only the newest."""
    seen = tmp_path / "seen"
    look = f"ls -d {run.run_dir}/checkpoint-* >> {seen}; echo >> {seen}"
    run.configure(
        hooks={"before_launch": sh(f"test $SUPERVISOR_HOOK_ATTEMPT = 1 || {{ {look}; sleep 4; }}")},
        restart={"backoff": "0.1s", "exit_codes": {3: "rollback"}},
        checkpoints={"keep": 1},
        env={"FAULTS": json.dumps({"1": [22, "exit3"]})},
    )
    assert run.run() == 0
    steps = [int(line.rpartition("-")[2]) for line in seen.read_text().split()]
    assert max(steps) == 20
    assert run.entries("attempt_started")[1]["checkpoint"]["step"] == min(steps)


def test_a_failing_hook_is_told_once_for_each_kind(run: Supervised, tmp_path: Path) -> None:
    """With its last words, in the events, the status and the terminal; never with a secret."""
    run.environ["UPLOAD_TOKEN"] = "hunter2hunter2"
    script = "echo $UPLOAD_TOKEN is refused; exit 4"
    faults = json.dumps({"1": [12, "raise"], "2": [22, "raise"]})
    run.configure(
        hooks={"attempt_ended": sh(script), "finished": sh(script)}, env={"FAULTS": faults}
    )
    assert run.run() == 0
    told = sorted(failures(run))
    assert len(told) == 2
    log = run.paths.hook_logs / "attempt_ended.log"
    said = f"the hook attempt_ended failed (exit code 4: [UPLOAD_TOKEN] is refused); {log}"
    assert told[0].startswith(said)
    assert run.text.count("the hook attempt_ended failed") == 1
    assert [line for line in run.status["warnings"] if line.startswith(said)]
    assert [line for line in run.status["warnings"] if line.startswith("the hook finished failed")]
    assert log.read_text().count("hunter2hunter2 is refused") == 3
    assert log.stat().st_mode & 0o777 == 0o600
    for path in (run.paths.ledger, run.paths.status, run.paths.log, run.output):
        assert "hunter2" not in path.read_text()


@pytest.mark.parametrize(("passes", "is_over"), [("-gt 1", True), ("-le 1", False)])
def test_a_warning_is_of_the_last_time_also_after_a_reload(
    run: Supervised, passes: str, is_over: bool
) -> None:
    """A failure that is over is not warned of again, and one that is not over still is."""
    faults = json.dumps({"1": [5, "raise"], "2": [12, "raise"]})
    hook = sh(f"test $SUPERVISOR_HOOK_ATTEMPT {passes} || exit 4")
    run.configure(hooks={"attempt_ended": hook}, env={"FAULTS": faults}, hold=25)
    run.start()
    run.wait_step(25, 3)

    def warned() -> bool:
        return any("attempt_ended failed" in line for line in run.status.get("warnings", ()))

    log = run.paths.hook_logs / "attempt_ended.log"
    run.wait(lambda: log.read_text().count("\n== exit code") == 2 and failures(run))
    run.wait(lambda: warned() is not is_over)
    daemon = run.status["pids"]["daemon"]
    run.command("reload")
    run.wait(lambda: run.status.get("pids", {}).get("daemon") not in (None, daemon))
    assert warned() is not is_over
    run.let_go()
    assert run.finish() == 0


def test_a_hook_that_prints_100_mb_costs_the_run_nothing(run: Supervised) -> None:
    """Its file stays small."""
    script = "yes 0123456789abcde | head -c 104857600"
    faults = json.dumps({"1": [12, "raise"]})
    run.configure(hooks={"attempt_ended": sh(script)}, env={"FAULTS": faults})
    assert run.run() == 0
    assert (run.paths.hook_logs / "attempt_ended.log").stat().st_size < 1 << 20
    assert not failures(run)


@pytest.mark.parametrize("way", ["SIGKILL", "reload"])
def test_the_next_daemon_runs_a_hook_again_that_died_with_its_daemon(
    run: Supervised, pids: Path, tmp_path: Path, way: str
) -> None:
    """At least once; nothing of the first is left, and what was done is not done again."""
    gate = tmp_path / "gate2"
    script = f"setsid sleep 1000 & echo $! >> {pids}; while ! test -e {gate}; do sleep 0.05; done"
    run.configure(
        hooks={"checkpoint_proven": sh(script), "attempt_ended": noting(tmp_path / "ended")},
        env={"FAULTS": json.dumps({"1": [15, "raise"]})},
        hold=17,
    )
    run.start()
    run.wait_step(17, 2)
    run.wait(lambda: len(numbers(pids)) == 1 and notes(tmp_path / "ended"))
    run.wait(lambda: "attempt 1" in (run.paths.hook_logs / "attempt_ended.log").read_text())
    daemon = run.status["pids"]["daemon"]
    run.wait(lambda: "exit code 0" in (run.paths.hook_logs / "attempt_ended.log").read_text())
    if way == "reload":
        run.command("reload")
    else:
        os.kill(daemon, signal.SIGKILL)
    run.wait(lambda: len(numbers(pids)) == 2)
    run.wait(lambda: not lives(numbers(pids)[0]))
    gate.touch()
    run.let_go()
    assert run.finish() == 0
    assert not any(map(lives, numbers(pids)))
    assert [one["attempt"] for one in notes(tmp_path / "ended")] == [1, 2]
    # The attempt that trained meanwhile was not touched.
    assert len(run.entries("attempt_started")) == 2


def test_a_daemon_that_dies_while_before_launch_runs_is_followed_by_one_that_asks_again(
    run: Supervised, pids: Path, tmp_path: Path
) -> None:
    """Then the run goes on as if nothing had happened."""
    gate = tmp_path / "passes"
    script = f"setsid sleep 1000 & echo $! >> {pids}; while ! test -e {gate}; do sleep 0.05; done"
    run.configure(hooks={"before_launch": sh(script)})
    run.let_go()
    run.start()
    run.wait(lambda: numbers(pids) and run.status.get("pids", {}).get("daemon"))
    os.kill(run.status["pids"]["daemon"], signal.SIGKILL)
    run.wait(lambda: len(numbers(pids)) == 2)
    run.wait(lambda: not lives(numbers(pids)[0]))
    gate.touch()
    assert run.finish() == 0
    assert len(run.entries("attempt_started")) == 1


def test_hooks_of_a_hung_attempt_are_none_of_its_processes(run: Supervised, pids: Path) -> None:
    """A hook that works on beside a hang does not hide it, and is not ended with the attempt."""
    script = f"echo $$ >> {pids}; while :; do :; done"
    faults = json.dumps({"1": [15, "stall"]})
    run.configure(
        hooks={"checkpoint_proven": sh(script)}, watch=HANG, env={"FAULTS": faults}, hold=30
    )
    process = run.start()
    run.wait_step(30, 2)
    assert run.entries("attempt_ended")[0]["failure"] == "hang"
    assert lives(numbers(pids)[0])
    process.send_signal(signal.SIGTERM)
    run.wait(lambda: "waiting for the hook" in run.text)
    process.send_signal(signal.SIGTERM)
    assert run.finish() == 75
    assert not any(map(lives, numbers(pids)))
