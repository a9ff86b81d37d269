"""The parked interpreter as the daemon orders it and shows it."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from supervisor.config.model import RunConfig
from supervisor.core.events import Event, ParkedSeen
from supervisor.core.policy import Policy
from supervisor.core.rules.warm_launch import AGAIN_S, Launched, Parked, ParkedStage
from supervisor.core.states import State
from supervisor.daemon.act import standby_orders as parking_module
from supervisor.daemon.act.standby_orders import RESERVE_BYTES, Parking
from supervisor.launcher.messages import Order, ParkedReport, ParkOrder, ProgramOrder

MIB = 1 << 20


class Scene:
    """A Parking with the orders that it sent and the events that it emitted."""

    def __init__(self, folder: Path, rss_bytes: int | None = None, **launch: Any) -> None:
        self.sent: list[Order] = []
        self.events: list[Event] = []
        log = SimpleNamespace(info=lambda *_, **__: None)
        config = RunConfig.model_validate({"command": ["python"], "launch": launch})
        run = SimpleNamespace(
            config=config,
            history=SimpleNamespace(rss_bytes=rss_bytes),
            paths=SimpleNamespace(state_dir=folder),
            runtime=SimpleNamespace(root=folder),
            journal=SimpleNamespace(log=log),
        )
        self.parking = Parking(run, self.events.append)  # type: ignore[arg-type]

    def order(self, *argv: str) -> None:
        """Order a parked interpreter for a command."""
        program = ProgramOrder(attempt=1, run_id="r", argv=argv, env={}, cwd="/")
        self.parking.order(self.sent.append, program)


@pytest.mark.parametrize(
    ("left", "measured", "fits"),
    [
        (None, None, True),
        (513 * MIB + RESERVE_BYTES, None, True),
        (511 * MIB + RESERVE_BYTES, None, False),
        (301 * MIB + RESERVE_BYTES, 300 * MIB, True),
        (299 * MIB + RESERVE_BYTES, 300 * MIB, False),
    ],
)
def test_one_that_does_not_fit_is_not_started(
    left: int | None,
    measured: int | None,
    fits: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without memory for another interpreter no order is sent, and the refusal is reported."""
    monkeypatch.setattr(parking_module, "memory_left", lambda: left)
    scene = Scene(tmp_path, measured)
    scene.order("python3", "train.py")
    assert bool(scene.sent) == fits
    if not fits:
        (event,) = scene.events
        assert isinstance(event, ParkedSeen)
        assert event.is_loud
        assert event.parked.reason is not None
        assert event.parked.reason.startswith("memory: ")
        shown = scene.parking.status(State(Policy()))
        assert shown.parked.reason == event.parked.reason


def test_the_order_says_what_to_preload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order has the configured modules, or `auto`, and the configured standby."""
    monkeypatch.setattr(parking_module, "memory_left", lambda: None)
    scene = Scene(tmp_path, preload=["torch"], standby="cuda")
    scene.order("python3", "train.py")
    (order,) = scene.sent
    assert isinstance(order, ParkOrder)
    assert (order.preload, order.standby) == (("torch",), "cuda")
    assert order.record == str(tmp_path / "imports.json")
    scene = Scene(tmp_path)
    scene.order("python3", "train.py")
    (order,) = scene.sent
    assert isinstance(order, ParkOrder)
    assert (order.preload, order.standby) == ("auto", None)
    assert order.record == str(tmp_path / "imports.json")
    assert Scene(tmp_path, mode="cold").parking.record is None


def test_what_is_not_python_is_told_and_not_ordered(tmp_path: Path) -> None:
    """`status` says why every launch is cold, and no order is sent."""
    scene = Scene(tmp_path)
    scene.order("srun", "train.py")
    assert scene.sent == []
    refused = Parked(ParkedStage.ABSENT, reason="srun is not Python")
    assert scene.events == [ParkedSeen(refused)]


def test_a_script_is_left_to_the_launchers_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon reads no file that a dead disk may hold, and sends the order.

    If memory is short, it says so in `status` alone: the script may be no Python program.
    """
    fifo = tmp_path / "train"
    os.mkfifo(fifo, 0o755)
    scene = Scene(tmp_path)
    monkeypatch.setattr(parking_module, "memory_left", lambda: None)
    scene.order(str(fifo))
    (order,) = scene.sent
    assert isinstance(order, ParkOrder)
    assert order.argv == (str(fifo),)
    monkeypatch.setattr(parking_module, "memory_left", lambda: MIB)
    scene.order(str(fifo))
    (event,) = scene.events
    assert isinstance(event, ParkedSeen)
    assert not event.is_loud


def test_what_the_launcher_tells_is_shown(tmp_path: Path) -> None:
    """`status` has state, memory and modules, and why the last launch was cold."""
    scene = Scene(tmp_path)
    said = {"seconds": 2.5, "rss_bytes": 7, "preloaded": ["torch"], "modules": 9, "left_out": []}
    pid = int(Path("/proc/self").readlink().name)
    # A later version may send more, under any name.
    said |= {"event": "x", "pid": "x", "log": "x", "": []}
    report = ParkedReport(stage="waiting", pid=pid, since=5.0, said=said)
    scene.parking.on_report(report, 9.0)
    assert scene.events == [ParkedSeen(Parked(ParkedStage.WAITING, 5.0), 2.5, 7)]
    state = State(Policy(), launched=Launched(False, "heavy.py has changed"))
    shown = scene.parking.status(state)
    assert (shown.last, shown.cold_reason) == ("cold", "heavy.py has changed")
    parked = shown.parked
    assert (parked.state, parked.preloaded, parked.seconds) == ("waiting", ("torch",), 2.5)
    assert parked.rss_bytes is not None
    assert parked.rss_bytes > MIB
    gone = ParkedReport(stage="absent", reason="it was killed", has_died=True)
    scene.parking.on_report(gone, 10.0)
    died = Parked(ParkedStage.ABSENT, 10.0, "it was killed", 10.0 + AGAIN_S)
    assert scene.events[-1] == ParkedSeen(died)
    assert scene.parking.status(state).parked.pid is None
    scene.parking.lost()
    assert scene.parking.status(state).parked.reason == "the launcher has died"
