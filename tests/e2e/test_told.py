"""People are told by a real web server of this machine: what, once, and never at the run's cost."""

import json
import os
import signal
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import yaml

from supervisor.rundir.ledger import encode_entry
from supervisor.system.clock import rfc3339
from tests.e2e.conftest import HANG, Supervised
from tests.e2e.webhook import Webhook, webhook

SECRETS = ("hunter2", "secret-path")


@pytest.fixture
def hook() -> Iterator[Webhook]:
    """The server."""
    with webhook() as server:
        yield server


def configure(
    run: Supervised, hook: Webhook, faults: dict[str, list[object]], **more: object
) -> None:
    """A run that tells the server everything, at once."""
    notify = {
        "to": [hook.address],
        "events": ["held", "hang", "first_restart", "restarts", "recovered", "finished"],
        "not_more_than": "1s",
        "ping": f"http://127.0.0.1:{hook.port}/ping",
        "every": "10s",
    }
    env = {"FAULTS": json.dumps(faults)}
    run.configure(notify=notify, watch=HANG, env=env, **more)


def grow_old(run: Supervised) -> None:
    """Set the times of the record back by an hour: of a young run little is told."""
    lines = b""
    for entry in run.entries():
        at = datetime.fromisoformat(entry["at"]) - timedelta(hours=1)
        lines += encode_entry({**entry, "at": rfc3339(at.timestamp())})
    run.paths.ledger.write_bytes(lines)


def begun(run: Supervised, hook: Webhook, faults: dict[str, list[object]], **more: object) -> None:
    """A run that began an hour ago and was stopped in its first attempt, before its faults."""
    configure(run, hook, {}, hold=5)
    run.start()
    run.wait_step(5, 1)
    assert run.process is not None
    run.process.send_signal(signal.SIGTERM)
    run.finish()
    grow_old(run)
    hook.got.clear()
    configure(run, hook, faults, **more)


def without_secrets(run: Supervised) -> bool:
    """Whether no file but the configuration holds a part of an address."""
    texts = [run.text] + [
        path.read_text(errors="replace")
        for path in run.run_dir.rglob("*")
        if path.is_file() and path.name != "config.json"
    ]
    return not any(secret in text for secret in SECRETS for text in texts)


def test_a_held_run_tells_at_once_even_if_it_is_young(run: Supervised, hook: Webhook) -> None:
    """What happened, and what to type; the ledger says that it was told."""
    command = ["sh", "-c", "echo 'ModuleNotFoundError: No module named einops'; exit 1"]
    configure(run, hook, {}, command=command, restart={"max_failures": 1})
    assert run.run() == 1
    run.wait(lambda: hook.titles)
    (title,) = hook.titles
    assert title.startswith("e2e on ")
    assert title.endswith("held, it needs you")
    (body,) = [body for _, body, _ in hook.got if isinstance(body, dict)]
    assert f"supervisor resume {run.run_dir}" in body["message"]
    assert "einops" in body["message"]
    run.wait(lambda: "/ping/fail" in hook.pings)
    assert without_secrets(run)


def test_a_hang_and_the_recovery_are_told_once(run: Supervised, hook: Webhook) -> None:
    """Also if the daemon is killed in between; the last ping comes at the end.

    A quick relaunch trains again before its restart was told: the two may be one message.
    """
    begun(run, hook, {"2": [15, "stall"]}, hold=30)
    run.start()
    run.wait(lambda: ends(hook) == ["hung"])
    run.wait_step(30, 3)
    run.wait(lambda: "recovered-1" in told(run))
    daemon = run.status["pids"]["daemon"]
    os.kill(daemon, signal.SIGKILL)
    run.wait(lambda: run.status["pids"]["daemon"] not in (daemon, None))
    run.let_go()
    assert run.finish() == 0
    run.wait(lambda: hook.titles[-1].endswith(": finished"))
    assert told(run) == ["hang-1", "first_restart-1", "recovered-1", "finished-1"]
    assert ends(hook) in (
        ["hung", "died and was started again", "trains again", "finished"],
        ["hung", "trains again (2 messages in one)", "finished"],
    )
    assert hook.pings[0] == "/ping"
    assert hook.pings[-1] == "/ping"
    assert without_secrets(run)


def test_a_target_that_never_answers_keeps_nothing_up(run: Supervised, hook: Webhook) -> None:
    """The run restarts, finishes and ends while the target is still silent."""
    begun(run, hook, {"2": [15, "raise"]})
    hook.silent.set()
    assert run.run() == 0
    assert hook.silent.is_set()
    assert hook.got == []
    assert run.status["state"] == "completed"
    assert run.status["notify"]["waiting"] > 0


def test_a_target_that_fails_is_shown_and_tried_again(run: Supervised, hook: Webhook) -> None:
    """`status` names it without its address; the message comes once it works again."""
    begun(run, hook, {"2": [15, "raise"]}, hold=30)
    hook.status = 500
    run.start()
    wanted = "target 1 (json): the target refused it"
    run.wait(lambda: wanted in json.dumps(run.status.get("notify")))
    assert f"a message does not arrive: {wanted}" in json.dumps(run.status["warnings"])
    assert run.entries("notified") == []
    hook.status = 200
    run.wait(lambda: hook.titles)
    run.wait(lambda: run.entries("notified"))
    run.let_go()
    assert run.finish() == 0
    assert without_secrets(run)


def ends(hook: Webhook) -> list[str]:
    """What the titles of the messages end with."""
    return [title.rpartition(": ")[2] for title in hook.titles]


def told(run: Supervised) -> list[str]:
    """What is on record as told."""
    return [key for entry in run.entries("notified") for key in entry["told"]]


def test_a_refused_requeue_is_told(run: Supervised, hook: Webhook) -> None:
    """SLURM is asked last of all; here no controller answers."""
    begun(run, hook, {}, hold=30)
    config = yaml.safe_load(run.config.read_text())
    config["notify"] |= {"events": ["requeue_failed", "preempted"], "not_more_than": "10m"}
    run.config.write_text(yaml.safe_dump(config))
    run.environ.update(SLURM_JOB_ID="77", SLURM_NODEID="0", SLURM_PROCID="0")
    run.start()
    run.wait_step(25, 2)
    assert run.process is not None
    run.process.send_signal(signal.SIGTERM)
    run.finish()
    assert ends(hook) == ["was stopped, and will go on", "is not started again by SLURM"]
    assert hook.pings.count("/ping") >= 1


@pytest.mark.parametrize("by", ["SIGKILL", "reload"])
def test_a_message_on_its_way_as_the_daemon_ends_is_told_once(
    run: Supervised, hook: Webhook, by: str
) -> None:
    """Its child outlives the daemon, and the next one learns what came of it."""
    begun(run, hook, {"2": [15, "raise"]}, hold=30)
    hook.answers_after_s = 4.0
    run.start()
    run.wait(lambda: hook.titles)
    daemon = run.status["pids"]["daemon"]
    if by == "SIGKILL":
        os.kill(daemon, signal.SIGKILL)
    else:
        run.command("reload")
    run.wait(lambda: run.status["pids"]["daemon"] not in (daemon, None))
    run.wait(lambda: "first_restart-1" in told(run))
    hook.answers_after_s = 0.0
    run.wait_step(30, 3)
    run.let_go()
    assert run.finish() == 0
    # Two messages on their way at once may arrive in either order.
    run.wait(lambda: any(title.endswith(": finished") for title in hook.titles))
    run.wait(lambda: len(hook.titles) == 3)
    assert sorted(told(run)) == ["finished-1", "first_restart-1", "recovered-1"]
    assert len(hook.titles) == len(run.entries("notified"))


def test_a_held_run_that_goes_on_is_told(run: Supervised, hook: Webhook) -> None:
    """Also if the target was still silent as the supervisor ended; it is no restart."""
    begun(run, hook, {"2": [15, "raise"]}, restart={"max_failures": 1})
    hook.answers_after_s = 4.0
    assert run.run() == 1
    (handed,) = run.entries("notified")
    assert (handed["told"], handed["handed_over"]) == (["held-1"], True)
    assert run.status["notify"]["failed"] == 0
    assert hook.pings[-1] == "/ping/fail"
    hook.answers_after_s = 0.0
    configure(run, hook, {}, restart={"max_failures": 1})
    run.command("resume")
    assert run.run() == 0
    run.wait(lambda: hook.titles[-1].endswith(": finished"))
    assert ends(hook) == ["held, it needs you", "trains again", "finished"]


def test_the_last_ping_is_waited_for(run: Supervised, hook: Webhook) -> None:
    """Where the end of the supervisor ends its children, too."""
    configure(run, hook, {}, command=["false"], restart={"max_failures": 1})
    config = yaml.safe_load(run.config.read_text())
    del config["notify"]["to"]
    run.config.write_text(yaml.safe_dump(config))
    hook.pings_take_s = 0.5
    assert run.run() == 1
    assert hook.pings[-1] == "/ping/fail"


def test_the_command_sends_a_test_message(run: Supervised, hook: Webhook, tmp_path: Path) -> None:
    """It says of each target what came of it, and `check` sends nothing."""
    configure(run, hook, {})
    said = run.raw("notify", str(run.config))
    assert (said.returncode, said.stdout) == (0, "target 1 (json): taken\nping: taken\n")
    assert hook.titles[0].endswith("this is a test")
    hook.got.clear()
    assert "1 target; `supervisor notify` sends" in " ".join(
        run.raw("check", str(run.config)).stdout.split()
    )
    assert hook.got == []
    hook.status = 500
    said = run.raw("notify", str(run.config), "--json")
    assert said.returncode == 1
    assert json.loads(said.stdout)[0]["error"].startswith("the target refused it")
    run.configure()
    said = run.raw("notify", str(run.config))
    assert said.returncode == 78
    assert "nobody is to be told" in said.stderr
    assert not run.run_dir.exists()
