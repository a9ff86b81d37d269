"""The persister of either version under the previous version's launcher; no snapshot is lost."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import test_memory_tier as memory_tier
from tests.upgrade.conftest import Living

SNAPSHOTTER = Path(memory_tier.__file__).with_name("snapshotter.py")


class Remembering(Living, memory_tier.Remembering):
    """A run whose trainer keeps snapshots."""

    weights = "model.txt"

    def set(self, **more: Any) -> None:
        """Configure the run; `env` as in snapshotter.py."""
        self.configure(script=SNAPSHOTTER, **more)

    def kill_persister(self) -> None:
        """Kill the persister, and wait until the next one works."""
        persister = self.board.pid
        os.kill(persister, signal.SIGKILL)
        self.wait(lambda: self.board.pid != persister)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Remembering]:
    """A run of the previous version, in its own installation."""
    living = Remembering(tmp_path)
    yield living
    living.close()


@pytest.mark.parametrize("daemon", ["old", "new"])
def test_another_persister(run: Remembering, daemon: str) -> None:
    """The other persister does the wanted save, and the snapshot in memory is resumed from."""
    run.set(hold=17)
    run.start()
    run.wait_step(17)
    persister = run.board.pid
    run.upgrade()
    if daemon == "new":
        run.reload()
    assert run.board.pid == persister
    run.kill_persister()
    assert run.newest_in_memory() == 17
    run.kill_trainer(1)
    run.let_go()
    run.check_end(2)
    assert "attempt 2 begins at step 18 from memory" in run.log
    assert run.steps_done == list(range(1, 41))
    assert not run.root.parent.exists()
