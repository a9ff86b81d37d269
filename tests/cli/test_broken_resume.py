"""`supervisor resume` of a run whose configuration is broken changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Command, FakeRun

BROKEN = (
    ("command: [a\n", "config.yaml"),
    ("command: [a]\nresume: {by: trainer}\nresume: {args: [-r]}\n", "put both together in line 2"),
    ("command: [a]\nresum: {}\n", "resum"),
    ("", "is empty"),
)


@pytest.fixture
def held(fake_run: FakeRun, tmp_path: Path) -> Path:
    """The configuration of a run that is held and has no supervisor."""
    config = tmp_path / "config.yaml"
    fake_run.write_status(state="held", config=str(config))
    return config


@pytest.mark.parametrize(("text", "said"), BROKEN)
def test_a_broken_configuration_is_told(
    command: Command, fake_run: FakeRun, held: Path, text: str, said: str
) -> None:
    """Exit code 78 with the place, and the stop or hold stays as it was."""
    held.write_text(text)
    done = command("resume", fake_run.run_dir)
    assert (done.returncode, said in done.stderr) == (78, True), done.stderr
    assert not fake_run.paths.intent.exists()


@pytest.mark.parametrize("text", ["command: [a]\nrun_dir: $NOT_SET_HERE/x\n", None])
def test_what_the_next_run_may_find_otherwise_is_let_pass(
    command: Command, fake_run: FakeRun, held: Path, text: str | None
) -> None:
    """A variable may be set there, and a file that is gone may lie elsewhere."""
    if text is not None:
        held.write_text(text)
    done = command("resume", fake_run.run_dir)
    assert done.returncode == 0, done.stderr
    assert fake_run.paths.intent.exists()


def test_a_run_that_lives_is_resumed_all_the_same(
    command: Command, fake_run: FakeRun, held: Path
) -> None:
    """Its daemon has the configuration that was valid at its start."""
    held.write_text("command: [a\n")
    fake_run.hold_lock()
    assert command("resume", fake_run.run_dir).returncode == 0
