"""The launcher's watch over the daemon's loop, with a clock that the test turns."""

import pytest

from supervisor.launcher.children import daemon_watchdog
from supervisor.launcher.children.daemon_watchdog import DaemonWatchdog
from tests.systemd.conftest import Listener


class Clock:
    """Monotonic seconds."""

    now = 100.0

    def monotonic(self) -> float:
        """Replaces time.monotonic in the module."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The module's clock."""
    clock = Clock()
    monkeypatch.setattr(daemon_watchdog, "time", clock)
    return clock


def test_silent_daemon_is_told_once(clock: Clock, listener: Listener) -> None:
    """The daemon is silent after a third of systemd's time, once it has given a first sign."""
    watched = DaemonWatchdog()
    watched.begin()
    clock.now += 1000
    assert watched.deadline() is None
    assert not watched.is_silent()
    watched.heard()
    assert watched.deadline() == clock.now + 3
    clock.now += 2.9
    assert not watched.is_silent()
    clock.now += 0.2
    assert watched.is_silent()
    assert not watched.is_silent()


def test_a_launcher_that_was_frozen_itself_waits_again(clock: Clock, listener: Listener) -> None:
    """A launcher that wakes late gives the daemon, which was frozen with it, its time again."""
    watched = DaemonWatchdog()
    watched.heard()
    clock.now += 60
    assert not watched.is_silent()
    assert watched.deadline() == clock.now + 3


def test_lost_daemon_is_spoken_for_until_another_is_heard(clock: Clock, listener: Listener) -> None:
    """The launcher sends systemd the reason, and signs of life, until another daemon lives."""
    watched = DaemonWatchdog()
    watched.lost("the daemon exited with 1")
    assert listener.heard() == ["STATUS=the daemon exited with 1\nWATCHDOG=1"]
    clock.now += 2.3
    assert not watched.is_silent()
    assert len(listener.heard()) == 1
    watched.begin()
    clock.now += 60
    assert not watched.is_silent()
    assert listener.heard() == []


def test_without_systemd_a_minute(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without systemd the daemon has a minute, and no datagram is sent."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    watched = DaemonWatchdog()
    watched.lost("gone")
    assert watched.deadline() is None
    watched.heard()
    assert watched.deadline() == clock.now + 60
