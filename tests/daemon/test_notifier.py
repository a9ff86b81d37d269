"""Messages and pings from the daemon's side: nothing is lost without a count, or told twice."""

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from supervisor.config.model import RunConfig
from supervisor.core.entries.attempt import AttemptStartedEntry, HungEntry
from supervisor.core.entries.run import SupervisorStartedEntry
from supervisor.core.entries.telling import NotifiedEntry
from supervisor.core.status import Status
from supervisor.core.vocabulary import RunState
from supervisor.daemon.tell import notifier as module
from supervisor.daemon.tell.journal import Journal
from supervisor.daemon.tell.notifier import Noticed, Notifier
from supervisor.daemon.tell.others import Others
from supervisor.daemon.tell.pinger import Pinger
from supervisor.notify.delivery import DEADLINE_S
from supervisor.notify.in_flight import MessagesInFlight
from supervisor.rundir.ledger import LedgerWriter
from supervisor.system.clock import wall_s
from tests.e2e.webhook import Webhook, webhook

HELD = Status(run="gpt", host="h", run_dir="/r", state=RunState.HELD)
RUNNING = Status(run="gpt", host="h", run_dir="/r", state=RunState.RUNNING)


@pytest.fixture
def hook() -> Iterator[Webhook]:
    """A web server."""
    with webhook() as server:
        yield server


def telling(folder: Path, *to: str) -> tuple[Notifier, Noticed, Journal]:
    """The messages of a run that began long ago."""
    noticed = Noticed()
    journal = Journal(LedgerWriter(folder / "ledger", folder / "reserve"), folder / "log")
    journal.listeners.append(noticed.note)
    noticed.note(SupervisorStartedEntry(), wall_s() - 3600)
    noticed.note(AttemptStartedEntry(attempt=1), wall_s() - 3600)
    notify = {"to": to, "events": ["hang"], "not_more_than": "1s"}
    config = RunConfig.model_validate({"command": ["true"], "notify": notify})
    return Notifier(config, noticed, journal, folder / "messages"), noticed, journal


def test_a_message_that_is_dropped_counts_as_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No later daemon sends it either."""
    monkeypatch.setattr(module, "_DELIVERIES_MAX", 0)
    notifier, noticed, _ = telling(tmp_path, "json://127.0.0.1:9/x")
    noticed.note(HungEntry(attempt=1, reason="no step"))
    notifier.poll(RUNNING)
    assert noticed.failed == 1
    assert noticed.told == {"hang-1"}


def test_a_daemon_that_follows_goes_on_counting_the_time(tmp_path: Path) -> None:
    """`not_more_than` begins at the last message, whoever sent it."""
    _, noticed, journal = telling(tmp_path)
    noticed.note(NotifiedEntry(told=("hang-1",), reached=1, of=1), 1234.0)
    config = RunConfig.model_validate({"command": ["true"], "notify": {"to": ["json://x"]}})
    follower = Notifier(config, noticed, journal, tmp_path / "messages")
    assert follower._outbox.last_sent == 1234.0


def test_a_message_of_a_dead_daemon_waits_until_its_child_has_ended(tmp_path: Path) -> None:
    """If no target is known to have taken it by then, it is sent again."""
    path = tmp_path / "messages"
    MessagesInFlight(path, (), 0.0).begin(("hang-1",))
    follower = MessagesInFlight(path, (), 100.0)
    assert (follower.settled(101.0), follower.keys) == ([], {"hang-1"})
    assert (follower.settled(102.0 + DEADLINE_S), follower.keys) == ([], set())
    follower = MessagesInFlight(path, (), 100.0)
    with path.open("a") as file:
        file.write('{"told": ["hang-1"], "target": 0}\nhalf a li')
    assert (follower.settled(101.0), follower.keys) == ([(("hang-1",), 1)], set())
    assert MessagesInFlight(path, ("hang-1",), 100.0).keys == set()


def test_a_ping_under_way_is_the_last_one_if_it_says_the_same(hook: Webhook) -> None:
    """`/fail` is not ended for another `/fail`; any other is."""
    hook.pings_take_s = 0.5
    pinger = Pinger(f"http://127.0.0.1:{hook.port}/uuid", 300.0)
    pinger.poll(RUNNING, 0.0)
    first = pinger._child
    pinger.poll(HELD, 1.0)
    second = pinger._child
    assert second is not first
    pinger.poll(HELD, 1.0, is_last=True)
    assert pinger._child is second
    until = time.monotonic() + 60
    while pinger.is_pinging and time.monotonic() < until:
        pinger.take(1.0)
        time.sleep(0.02)
    assert pinger.problem is None
    assert hook.pings[-1] == "/uuid/fail"


def test_a_launch_that_is_refused_for_long_is_no_ping_of_health(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`/fail` once, then silence; a launch, and a stop, are as ever."""
    said: list[Any] = []

    def no_process(order: Any) -> None:
        said.append(order["suffix"])
        raise OSError(11, "no processes")

    monkeypatch.setattr("supervisor.daemon.tell.pinger.start", no_process)
    pinger = Pinger("http://x", 300.0)
    waiting, asked = (Status(state=one) for one in (RunState.WAITING, RunState.LAUNCHING))
    pinger.poll(waiting, 0.0)
    for n, status in enumerate((waiting, asked, waiting), start=1):
        pinger.poll(status, n * 1000.0, is_refused=True)
    assert said == ["", "/fail"]
    pinger.poll(RUNNING, 5000.0)
    pinger.poll(Status(state=RunState.PREEMPTED), 5001.0, is_last=True, is_refused=True)
    assert said == ["", "/fail", "", ""]


def test_a_ping_says_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run without a step says none."""
    said: list[Any] = []

    def no_process(order: Any) -> None:
        said.append(order["said"])
        raise OSError(11, "no processes")

    monkeypatch.setattr("supervisor.daemon.tell.pinger.start", no_process)
    for step in (None, 7):
        status = Status(run="gpt", state=RunState.LAUNCHING, step=step)
        Pinger("http://x", 300.0).poll(status, 0.0)
    assert said == ["gpt: launching.", "gpt: launching, step 7."]


def test_a_bug_in_the_metrics_silences_no_message(tmp_path: Path) -> None:
    """Each of the two is told for itself."""
    notifier, noticed, journal = telling(tmp_path, "json://127.0.0.1:9/x")
    config = RunConfig.model_validate({"command": ["true"]})
    run: Any = SimpleNamespace(
        config=config, noticed=noticed, journal=journal, tally=None, run_id="r",
        runtime=SimpleNamespace(root=tmp_path),
    )  # fmt: skip
    others = Others(run)
    others._metrics, others._notifier = None, notifier  # type: ignore[assignment]
    noticed.note(HungEntry(attempt=1, reason="no step"))
    others.tell(RUNNING, 0.0)
    assert [one.keys for one in notifier._deliveries] == [("hang-1",)]
    others.finish(SimpleNamespace(run=RunState.HELD), HELD, 0.0)  # type: ignore[arg-type]
    assert notifier._deliveries == []
