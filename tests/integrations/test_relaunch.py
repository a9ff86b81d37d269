"""The relaunch benchmark's unchanged script: killed, it goes on warm, with all imports done."""

from pathlib import Path

import pytest

from benchmarks.relaunch import WORKLOADS
from benchmarks.relaunches import SHOWN_STEP, Ours, Workload, measure
from tests.integrations.trainers import trainers_python

pytestmark = [pytest.mark.trainers, pytest.mark.slow, pytest.mark.timeout(600)]


def test_an_unchanged_trainer_is_relaunched_warm(tmp_path: Path) -> None:
    """Neither configuration nor script names us; the imports are done before the script begins.

    `measure` raises if the launch was not warm.
    """
    known = WORKLOADS["trainer"]
    python = trainers_python("transformers")
    workload = Workload(known.name, known.words, python=python, program=known.program)
    (times,) = measure(Ours("supervisor", "warm"), workload, tmp_path, 1)
    order = [times[name] for name in ("started", "imported", "chosen", "loaded", SHOWN_STEP)]
    assert order == sorted(order)
    imports_ms = times["imported"] - times["started"]
    # torch and transformers take seconds.
    assert imports_ms < (times[SHOWN_STEP] - times["imported"]) / 2
    assert 0 <= times["replayed"] <= 20
