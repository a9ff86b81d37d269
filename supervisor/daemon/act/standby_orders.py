"""The spare interpreter as the daemon sees it: ordered where it fits, and shown in `status`."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from supervisor.core.events import Event, ParkedSeen
from supervisor.core.json_form import from_json
from supervisor.core.rules.warm_launch import Parked, ParkedStage
from supervisor.core.states import State
from supervisor.core.status import LaunchStatus, ParkedStatus
from supervisor.daemon.launcher_link import Send
from supervisor.daemon.run import Run
from supervisor.daemon.takeover import parked_of
from supervisor.launcher.messages import ParkedReport, ParkOrder, ProgramOrder
from supervisor.memory.space import memory_left
from supervisor.standby.command import Cold, may_be_script, parse

# What torch with all its imports takes; used until a spare interpreter was measured.
GUESSED_BYTES = 512 << 20
RESERVE_BYTES = 256 << 20
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Parking:
    """The parked interpreter of one run; `emit` takes the events for the core."""

    def __init__(self, run: Run, emit: Callable[[Event], None]) -> None:
        self._run = run
        self._emit = emit
        self._measured_bytes: int | None = None
        self._known = ParkedReport()

    @property
    def record(self) -> Path | None:
        """Where the trainer writes the modules that it imported; None if all launches are cold."""
        if self._run.config.launch.mode == "cold":
            return None
        return self._run.runtime.root / "imports.json"

    def order(self, send: Send, program: ProgramOrder) -> None:
        """Order a spare interpreter for `program`, if its command and the free memory allow one."""
        why, is_loud = self._obstacle(program)
        if why is not None:
            self._known = ParkedReport(reason=why)
            self._emit(ParkedSeen(Parked(ParkedStage.ABSENT, reason=why), is_loud=is_loud))
            return
        self._known = ParkedReport(stage=ParkedStage.IMPORTING.value)
        output = self._run.paths.state_dir / "parked.log"
        output.unlink(missing_ok=True)
        launch, record = self._run.config.launch, self.record
        preload = launch.preload
        send(
            ParkOrder(
                **program.values(),
                record=None if record is None else str(record),
                preload=preload if isinstance(preload, str) else tuple(preload),
                standby=launch.standby,
                output=str(output),
            )
        )

    def _obstacle(self, program: ProgramOrder) -> tuple[str | None, bool]:
        """Why there can be none, and whether the user can do anything about it."""
        # Only a script's first line says whether it is a Python program. A disk that does not
        # answer would stall this loop, so a child of the launcher reads the line, and may refuse.
        is_known = not may_be_script(program.argv)
        if is_known:
            command = parse(program.argv, {**os.environ, **program.env}, program.cwd)
            if isinstance(command, Cold):
                return command.reason, False
        left = memory_left()
        need = self._measured_bytes or self._run.history.rss_bytes or GUESSED_BYTES
        if left is None or left >= need + RESERVE_BYTES:
            return None, False
        why = (
            f"memory: {left >> 20} MiB are left, but about {need >> 20} MiB are needed"
            f" and {RESERVE_BYTES >> 20} MiB stay in reserve"
        )
        return why, is_known

    def take_over(self, known: ParkedReport) -> None:
        """Take over, in a new daemon, what the launcher knows of the spare interpreter."""
        self._known = known

    def on_report(self, report: ParkedReport, now: float) -> None:
        """Take the launcher's report that the spare interpreter has changed."""
        self._known = report
        said = report.said or {}
        parked = parked_of(report, now)
        if parked.stage is not ParkedStage.WAITING:
            self._emit(ParkedSeen(parked))
            return
        self._measured_bytes = said.get("rss_bytes")
        # An interpreter of a later version may use any key, also those that this call sets.
        news = {k: v for k, v in said.items() if k not in ("event", "log", "pid")}
        self._run.journal.log.info("parked", pid=report.pid, **news)
        self._emit(ParkedSeen(parked, said.get("seconds"), said.get("rss_bytes")))

    def lost(self) -> None:
        """Note that the spare interpreter has ended with the launcher."""
        self._known = ParkedReport(reason="the launcher has died")

    def status(self, state: State) -> LaunchStatus:
        """How the last launch went, and the spare interpreter for the next."""
        launched, launch = state.launched, self._run.config.launch
        return LaunchStatus(
            mode=launch.mode,
            last=None if launched is None else "warm" if launched.is_warm else "cold",
            cold_reason=None if launched is None else launched.why_cold,
            parked=replace(self._parked_status(), standby=launch.standby),
        )

    def _parked_status(self) -> ParkedStatus:
        pid, stage = self._known.pid, self._known.stage
        if stage == ParkedStage.ABSENT.value:
            return ParkedStatus(stage, pid, reason=self._known.reason)
        said = from_json(ParkedStatus, self._known.said) or ParkedStatus()
        return replace(said, state=stage, pid=pid, rss_bytes=_rss_bytes(pid), reason=None)


def _rss_bytes(pid: int | None) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return None
