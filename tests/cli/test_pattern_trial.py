"""What `supervisor check` says of `watch.progress`: whether it is quick, and what it reads."""

from pathlib import Path

import pytest

from supervisor.cli.preflight.finding import Level
from supervisor.cli.preflight.pattern_trial import findings
from supervisor.config.model import RunConfig
from supervisor.rundir.paths import RunPaths

ALL = r"(?P<step>\d+)/(?P<total>\d+) .*loss=(?P<loss>[\d.]+)"


def said(pattern: str, run_dir: Path) -> tuple[Level, str]:
    """The answer for a pattern."""
    config = RunConfig.model_validate({"command": ["a"], "watch": {"progress": pattern}})
    (found,) = findings(config, run_dir)
    assert found.what == "progress"
    return found.level, found.text


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (ALL, "for example it reads step 451, total 1000, loss 2.31 from"),
        (r"step: (?P<step>\d+) loss: (?P<loss>\S+)",
         "for example it reads step 451, loss 2.31 from '[2026-01-05"),
        (r"Epoch (?P<epoch>\d+): .*?(?P<step>\d+)/", "reads step 451, epoch 3 from"),
        (r"Schritt (?P<step>\d+)", "it matches no line that was tried"),
    ],
)  # fmt: skip
def test_what_each_group_reads_is_shown(pattern: str, text: str, tmp_path: Path) -> None:
    """Before the first launch the pattern is tried on lines that trainers print."""
    level, found = said(pattern, tmp_path)
    assert level is Level.OK
    assert text in found


def test_the_runs_own_log_comes_first(tmp_path: Path) -> None:
    """The newest line of the run's log that matches is shown, or that none does."""
    log = RunPaths(tmp_path).train_log
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("Schritt 4\nSchritt 5\nsaved\n")
    _, found = said(r"Schritt (?P<step>\d+)", tmp_path)
    assert found.endswith("in this run's log it reads step 5 from 'Schritt 5'")
    _, found = said(ALL, tmp_path)
    assert found.endswith("it matches none of the last 3 lines of this run's log")
