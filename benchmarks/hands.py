"""Brings the soak's faults to a run, and checks how many steps a killed trainer lost."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from benchmarks.faults import Fault, Planned
from benchmarks.soaked_run import SNAPSHOT_STEPS, SoakedRun, SoakError, Stamp
from supervisor.checkpoint.layout import MANIFEST
from supervisor.memory.persister_status import read_board
from supervisor.system.clock import wall_s

RECOVERY_TIMEOUT_S = 150.0
# An attempt's snapshot memory is laid out in the background. Until then the attempt has only the
# checkpoint that it resumed from.
STEPS_TO_SETTLE = 25


class Hands:
    """Faults for one run. Raises SoakError if the run does not recover as it must."""

    def __init__(self, run: SoakedRun) -> None:
        self.run = run
        self.kills_checked = 0
        self.most_steps_lost = 0
        self._bad: set[str] = set()

    def bring(self, planned: Planned) -> bool:
        """Bring the fault; False if the process that it needs does not run."""
        match planned.fault:
            case Fault.KILL_TRAINER:
                return self._kill_trainer()
            case Fault.KILL_DAEMON:
                return self._signal("daemon", signal.SIGKILL)
            case Fault.KILL_LAUNCHER:
                return self._signal("launcher", signal.SIGKILL)
            case Fault.KILL_BOTH:
                daemon = self.run.pid_of("daemon")
                is_done = self._signal("launcher", signal.SIGKILL)
                return is_done and daemon is not None and self._send(daemon, signal.SIGKILL)
            case Fault.KILL_PERSISTER:
                return self._signal("persister", signal.SIGKILL)
            case Fault.TRUNCATE | Fault.FLIP:
                return self._corrupt(planned)
            case Fault.STOP | Fault.HOLD:
                return self._intend(planned.fault)
            case Fault.RELOAD:
                return self.run.command("reload") == 0
            case Fault.TERMINATE:
                return self._signal("launcher", signal.SIGTERM)
            case _:
                return self._freeze(planned.fault.value.partition(" ")[2], 0.1 + planned.draw)

    def _signal(self, role: str, number: signal.Signals) -> bool:
        pid = self.run.pid_of(role)
        return pid is not None and self._send(pid, number)

    @staticmethod
    def _send(pid: int, number: signal.Signals) -> bool:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return False
        return True

    def _freeze(self, role: str, seconds: float) -> bool:
        pid = self.run.pid_of(role)
        if pid is None or not self._send(pid, signal.SIGSTOP):
            return False
        time.sleep(seconds)
        self._send(pid, signal.SIGCONT)
        return True

    def _kill_trainer(self) -> bool:
        pid = self.run.trainer()
        if pid is None or not self._send(pid, signal.SIGKILL):
            return False
        persist_s = self._persist_s()
        mine: list[Stamp] = []
        after: list[Stamp] = []

        def is_resumed() -> bool:
            stamps = self.run.stamps()
            mine[:] = [one for one in stamps if one.pid == pid and one.name == "step"]
            after[:] = [one for one in stamps if one.at_ns > mine[-1].at_ns and one.pid != pid]
            return any(one.name == "loaded" for one in after) or self.run.is_finished()

        self.run.until("next attempt", is_resumed, RECOVERY_TIMEOUT_S)
        resumed = [one.step for one in after if one.name == "loaded"]
        if len(mine) < STEPS_TO_SETTLE or not resumed:
            return True
        lost = mine[-1].step - resumed[0]
        before_ns = mine[-1].at_ns - int(persist_s * 1e9)
        allowed = 2 * SNAPSHOT_STEPS + sum(one.at_ns >= before_ns for one in mine)
        if lost > allowed:
            raise SoakError(f"{lost} steps lost, {allowed} at most; see {self.run.folder}")
        self.kills_checked += 1
        self.most_steps_lost = max(self.most_steps_lost, lost)
        return True

    def _persist_s(self) -> float:
        """Seconds of the longest persist on the board, the current one included."""
        runtime = self.run.runtime
        board = None if runtime is None else read_board(runtime / "snapshots")
        if board is None:
            return 0.0
        under_way = 0.0 if board.current is None else wall_s() - board.current.since
        return max([under_way, *(result.seconds for result in board.results)])

    def _corrupt(self, planned: Planned) -> bool:
        """Damage the newest checkpoint on the disk, if an older one is good."""
        directory = self.run.paths.run_dir
        found = [path.parent for path in directory.glob(f"checkpoint-*/{MANIFEST}")]
        good = [path for path in found if path.name not in self._bad]
        good.sort(key=lambda path: int(path.name.partition("-")[2]))
        pid = self.run.trainer()
        if len(good) < 2 or pid is None or not self._send(pid, signal.SIGSTOP):
            return False
        try:
            # The trainer is stopped, so no save and no attempt's end can come between this check
            # and the damage.
            if self.run.trainer() != pid:
                return False
            self._bad.add(good[-1].name)
            with suppress(FileNotFoundError):  # pruned or set aside this moment
                _damage(good[-1] / "model.pt", planned)
                return True
            return False
        finally:
            self._send(pid, signal.SIGCONT)

    def _intend(self, fault: Fault) -> bool:
        run = self.run
        word = "stop" if fault is Fault.STOP else "hold"
        if run.command(word) not in (0, 75):
            return False
        try:
            if fault is Fault.HOLD:
                self._signal("trainer", signal.SIGKILL)
                # 75 if a SIGTERM came before the hold; the next `supervisor run` is then refused.
                is_over: Callable[[], bool] = lambda: run.process_code() in (0, 1, 75)  # noqa: E731
            else:
                is_over = lambda: run.process_code() in (0, 75)  # noqa: E731
            run.wait_for_end(is_over, RECOVERY_TIMEOUT_S)
        finally:
            run.command("resume")
        if not run.is_finished():
            run.start()
        return True


def _damage(path: Path, planned: Planned) -> None:
    size = path.stat().st_size
    if planned.fault is Fault.TRUNCATE:
        os.truncate(path, int(size * planned.draw))
        return
    with path.open("r+b") as file:
        file.seek(int((size - 1) * planned.draw))
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ (1 << int(planned.draw * 7.99))]))
