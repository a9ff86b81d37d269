"""The persister struck while a real trainer trains on under a real supervisor."""

import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.memory.persister_status import PersisterRecord, Result, read_board
from tests.chaos.conftest import PARTS, SHARE, Count, pick
from tests.chaos.injection import FULL, Strike, Tracer, errors, kills
from tests.chaos.trainee import uninterrupted
from tests.e2e.conftest import Supervised

pytestmark = pytest.mark.usefixtures("strace")

TRAINER = Path(__file__).with_name("gated_trainer.py")
ROOT = Path(__file__).resolve().parents[2]
EVERY = 3
# The launcher waits longer before each next start: 0.1 s, 0.2, 0.4 …
KILLS = {1: 7, 8: 5}.get(SHARE, 3)


class Gated(Supervised):
    """A run that saves when the test tells it to."""

    saves = 0

    def begin(self, saves: int) -> None:
        """Start the run; it ends after so many saves."""
        self.total = saves
        gate = self.folder / "gate"
        os.mkfifo(gate)
        self.configure(
            command=[sys.executable, "-P", str(TRAINER)],
            watch={"heartbeat_timeout": "120s"},
            env={
                "STEPS": saves * EVERY,
                "EVERY": EVERY,
                "GATE": str(gate),
                "PYTHONPATH": str(ROOT),
                "OMP_NUM_THREADS": "1",
            },
        )
        self.start()
        self.gate = os.open(gate, os.O_WRONLY)
        self.wait(lambda: self.board is not None, timeout_s=90)

    @property
    def root(self) -> Path:
        """The run's snapshot directory."""
        (created,) = self.wait(lambda: self.entries("run_created"))
        run_id = created["run_id"]
        return Path(f"/dev/shm/train-supervisor-{os.getuid()}/{run_id}/snapshots")

    @property
    def board(self) -> PersisterRecord | None:
        """The board of a living, idle persister, or None."""
        board = read_board(self.root)
        is_idle = board is not None and board.is_of_living and board.state == "idle"
        return board if is_idle else None

    def save(self) -> int:
        """Let the trainer save once more, without waiting; the step."""
        self.saves += 1
        assert os.write(self.gate, b"s") == 1
        return self.saves * EVERY

    def result(self, step: int) -> Result | None:
        """How the persist of a step ended, once the persister is idle."""
        board = self.board
        results = board.results if board is not None else ()
        return next((one for one in reversed(results) if one.step == step), None)

    def trace(self, strike: Strike | None) -> tuple[int, Tracer]:
        """Attach strace to the persister; its pid, and the tracer."""
        board = self.wait(lambda: self.board)
        return board.pid, Tracer(board.pid, self.folder / "strace.log", strike)

    def end(self) -> str:
        """Let the remaining saves through; the digest of the final state."""
        while self.saves < self.total:
            self.save()
        os.close(self.gate)
        assert self.finish(90) == 0
        assert len(self.entries("attempt_started")) == 1
        return (self.run_dir / "digest").read_text()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Gated]:
    """A run in a fresh directory; its directory in memory is removed."""
    gated = Gated(tmp_path)
    yield gated
    root = gated.root
    gated.close()
    shutil.rmtree(root.parent, ignore_errors=True)


def record(run: Gated) -> Counter[str]:
    """The calls of one persist."""
    _, tracer = run.trace(None)
    step = run.save()
    assert run.wait(lambda: run.result(step)).ok
    tracer.close()
    return tracer.calls()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("part", PARTS)
def test_killed_while_the_trainer_trains_on(part: int, run: Gated, record_property: Count) -> None:
    """The launcher starts another persister, the save arrives, and training goes on."""
    run.begin(saves=KILLS + 2)
    strikes = pick(kills(record(run)), part)
    chosen = [strikes[len(strikes) * number // KILLS] for number in range(KILLS)]
    struck = 0
    for strike in chosen:
        pid, tracer = run.trace(strike)
        step = run.save()
        result = run.wait(lambda at=step: run.result(at))
        tracer.close()
        struck += run.wait(lambda: run.board).pid != pid
        assert result.ok, strike
        assert (run.run_dir / f"checkpoint-{step}").is_dir(), strike
    assert run.end() == uninterrupted(steps=run.total * EVERY)
    assert struck > 0
    assert run.text.count("the persister was ended by signal 9") == struck
    record_property("the persister killed while a trainer trained on", struck)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", PARTS)
def test_a_bad_disk_while_the_trainer_trains_on(
    part: int, run: Gated, record_property: Count
) -> None:
    """The run goes on, the failed save is recorded, and the next is written from scratch."""
    most = 40 if SHARE == 1 else 12
    run.begin(saves=2 * most + 2)
    # An error of a call that only a tmpfs gets ends the persister, and delays each next start.
    strikes = [one for one in pick(errors(record(run)), part) if one.call in FULL]
    failed = []
    for number, strike in enumerate(strikes[:most]):
        _, tracer = run.trace(strike)
        step = run.save()
        result = run.wait(lambda at=step: run.result(at))
        tracer.close()
        if not result.ok:
            failed.append(step)
        step = run.save()
        assert run.wait(lambda at=step: run.result(at)).ok, strike
        assert (run.run_dir / f"checkpoint-{step}").is_dir(), strike
        if number % 4 == 3:  # the board keeps the last 16, and the daemon looks once a second
            run.wait(lambda: recorded(run) >= set(failed))
    run.wait(lambda: recorded(run) >= set(failed))
    assert failed
    assert recorded(run) == set(failed)
    run.wait(lambda: run.entries("incident"))
    assert run.end() == uninterrupted(steps=run.total * EVERY)
    record_property("a bad disk while a trainer trained on", len(strikes[:most]))


def recorded(run: Gated) -> set[int]:
    """The steps of the failed saves in the ledger."""
    lines = [entry["line"] for entry in run.entries("save_failed")]
    return {int(line.split("step=")[1].split()[0]) for line in lines}
