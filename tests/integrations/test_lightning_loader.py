"""A new Trainer of Lightning gets our callback once, in its place, and nothing is logged of it."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.integrations.trainers import ONE_THREAD, STARTUP, trainers_python

pytestmark = [pytest.mark.trainers, pytest.mark.slow, pytest.mark.timeout(600)]

SCRIPT = """
import warnings
warnings.simplefilter("ignore")
import {root} as pl
from {root}.callbacks import LearningRateMonitor, ModelCheckpoint
from {root}.trainer.connectors import callback_connector
if {is_unknown}:
    # As in a version of Lightning whose loader has another name.
    from _train_supervisor.integrations import lightning_loader
    loader = callback_connector._load_external_callbacks
    callback_connector._load_external_callbacks = loader.__wrapped__
    lightning_loader.wrapped.clear()
for _ in range(2):
    callbacks = [ModelCheckpoint(), LearningRateMonitor()]
    trainer = pl.Trainer(accelerator="cpu", callbacks=callbacks, logger=False, barebones=False)
    names = [type(one).__name__ for one in trainer.callbacks]
    print("names", *names)
"""


@pytest.mark.parametrize("root", ["lightning.pytorch", "pytorch_lightning"])
@pytest.mark.parametrize("is_unknown", [False, True])
def test_the_callback_is_there_once(tmp_path: Path, root: str, is_unknown: bool) -> None:
    """From the wrapped loader without a word; else from the entry point, whose line is Lightning's.

    It stands where the entry point's would: after the script's, before those that save.
    """
    python = trainers_python("lightning")
    (tmp_path / "run" / ".supervisor").mkdir(parents=True)
    (tmp_path / "heartbeats").mkdir()
    environment = {
        **os.environ, **ONE_THREAD, "PYTHONPATH": str(STARTUP), "SUPERVISOR_ATTEMPT": "1",
        "SUPERVISOR_HEARTBEAT": str(tmp_path / "heartbeats"), "SUPERVISOR_INTEGRATE": "auto",
        "SUPERVISOR_RUN_DIR": str(tmp_path / "run"),
    }  # fmt: skip
    script = SCRIPT.format(root=root, is_unknown=is_unknown)
    done = subprocess.run(
        [python, "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True,
        timeout=500, check=True,
    )  # fmt: skip
    lines = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("names")]
    assert len(lines) == 2
    for names in lines:
        assert names.count("SupervisorCallback") == 1
        assert names[-2:] == ["SupervisorCallback", "ModelCheckpoint"]
    assert ("from entry point" in done.stderr + done.stdout) is is_unknown
