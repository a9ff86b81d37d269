"""A script of nanoGPT's form under `supervisor run -- …`: one file, rewritten in place."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integrations.typed_runs import TypedRun, cut

pytestmark = [pytest.mark.trainers, pytest.mark.timeout(900)]
SLOW_S, FAST_S = 0.2, 0.0


@pytest.fixture
def run(tmp_path: Path) -> Iterator[TypedRun]:
    """A run that is not begun."""
    made = TypedRun(tmp_path, "torch", "nanogpt")
    yield made
    made.close()


def went_on_at(log: str) -> list[int]:
    """The iterations at which resumed attempts began, as the script prints them."""
    after = log.split("Resuming training from out\n")[1:]
    return [int(found[1]) for one in after if (found := re.search(r"^iter (\d+):", one, re.M))]


def _has_saved(log: str, before: int) -> bool:
    """Whether there are more saves than before, and the iterations go on after the last."""
    saves = log.split("saving checkpoint")
    return len(saves) > before + 1 and saves[-1].count("\niter") > 1


def test_nanogpt(run: TypedRun) -> None:
    """Told at its first save, then a stop, two kills and a torn file: as if resumed by hand."""
    command = run.script("nanogpt.py")
    run.type(*command, step_s=SLOW_S)
    run.shows(lambda: "the trainer saves into" in run.text)
    said = run.text
    assert f"the trainer saves into {run.folder}/out (ckpt.pt)" in said
    assert run.stop() == 75
    assert "stopped by SIGTERM; no checkpoint is seen: the trainer saves into" in run.text
    assert run.write_what_is_told(said) == [
        "checkpoints: {directory: out}",
        "resume: {args: [--init_from=resume]}",
    ]
    run.type(*command, step_s=SLOW_S)
    for attempt in (2, 3):
        run.trainer(attempt)
        before = run.log.count("saving checkpoint")
        run.kill_when(attempt, lambda before=before: _has_saved(run.log, before + 1))
    run.shows(lambda: went_on_at(run.log)[2:])
    assert run.stop() == 75
    saved = run.folder / "out/ckpt.pt"
    shutil.copy(saved, run.folder / "copy")
    cut(saved)
    run.type(*command, step_s=FAST_S)
    assert run.finish() == 1
    assert "held: checkpoints exist but none is valid; restore one" in run.text
    shutil.copy(run.folder / "copy", saved)
    run.command("resume")
    run.type(*command, step_s=FAST_S)
    assert run.finish() == 0, run.text
    assert set(run.resumed_from()) == {None, "ckpt.pt"}
    alone = run.folder / "alone"
    places = went_on_at(run.log)
    assert len(places) == 4
    run.alone(*command, f"--max_iters={places[0]}", folder=alone)
    for until in [*places[1:], 300]:
        run.alone(*command, "--init_from=resume", f"--max_iters={until}", folder=alone)
    assert saved.read_bytes() == (alone / "out/ckpt.pt").read_bytes()
