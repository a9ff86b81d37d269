"""The demo: a run is hit in a step, in a save and in its newest checkpoint, and still ends right.

Every hit waits for the state that it needs, so nothing here depends on the machine's speed.
"""

import argparse
import shutil
import signal
import sys
import time
from pathlib import Path

from demo.runs import DemoError, SupervisedRun, UninterruptedRun, newest_checkpoint, step_of
from demo.victim import Victim
from supervisor.checkpoint.layout import MANIFEST
from supervisor.core.entries.attempt import AttemptStartedEntry
from supervisor.worker.heartbeat import Phase

FINISH_TIMEOUT_S = 300.0
MARK = ".supervisor-demo"
STAGES = ".staging-*"
WEIGHTS = "model.pt"
REQUIRED = ("model.pt", "ema_model.pt", "optimizer.pt", "scheduler.pt")
DIFFERENCES_SHOWN = 3


class Story:
    """Prints what happens, with the seconds since the start."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        """Print one line."""
        print(f"{time.monotonic() - self._began:6.1f} s  {text}", flush=True)


def prepare(output: Path) -> None:
    """Make the folder, or clear an earlier demo's. Raises DemoError if other files are in it."""
    if output.exists() and any(output.iterdir()):
        if not (output / MARK).exists():
            raise DemoError(f"{output} has files that are not an earlier demo's: choose another")
        shutil.rmtree(output)
    output.mkdir(parents=True, exist_ok=True)
    (output / MARK).touch()


def hit_in_a_step(run: SupervisedRun, victim: Victim) -> str:
    """SIGKILL the trainer in a step, when it has done steps that no checkpoint holds."""
    seen: list[tuple[int, Path]] = []

    def is_inside_a_step() -> bool:
        page, newest = victim.page(), newest_checkpoint(run.paths.run_dir)
        if page is None or page.step is None or page.phase is not Phase.STEP:
            return False
        seen[:] = [(page.step, newest)]
        return page.step > step_of(newest)

    run.until("a step to hit", lambda: victim.kill_if(is_inside_a_step))
    done, newest = seen[0]
    return f"SIGKILL in the middle of step {done + 1}; the newest checkpoint is {newest.name}"


def hit_in_a_save(run: SupervisedRun, victim: Victim) -> str:
    """SIGKILL the trainer when its checkpoint is half written; the persister finishes the write."""
    directory = run.paths.run_dir

    seen: list[int] = []

    def is_half_written() -> bool:
        files = list(directory.glob(f"{STAGES}/*"))
        try:
            seen[:] = [file.stat().st_size for file in files]
        except FileNotFoundError:
            return False  # the persister, which is not frozen, has just renamed the checkpoint
        return bool(files) and all(file.name != MANIFEST for file in files)

    def is_hit() -> bool:
        # A save takes milliseconds, so look without a pause, and freeze only if a stage exists.
        deadline = time.monotonic() + 0.5
        while time.monotonic() < deadline:
            if any(directory.glob(STAGES)):
                return victim.kill_if(is_half_written)
        return False

    run.until("a save to hit", is_hit)
    return (
        f"SIGKILL in the middle of a save: {len(seen)} files ({sum(seen)} bytes), no manifest yet"
    )


def hit_with_rot(run: SupervisedRun, victim: Victim) -> str:
    """Flip one bit of the newest checkpoint's weights, then SIGKILL."""
    # Freeze first: the newest checkpoint must still be the newest when the next attempt looks.
    victim.freeze()
    path = newest_checkpoint(run.paths.run_dir) / WEIGHTS
    place = path.stat().st_size // 2
    with path.open("r+b") as file:
        file.seek(place)
        octet = file.read(1)[0]
        file.seek(place)
        file.write(bytes([octet ^ 0b0001_0000]))
    victim.send(signal.SIGKILL)
    return f"flipped one bit of {path.parent.name}/{path.name} (byte {place}), and SIGKILL"


def came_back(run: SupervisedRun, attempt: int) -> str:
    """How attempt `attempt` resumed, from the ledger."""
    source, first = run.started(attempt).checkpoint, run.first_step(attempt)
    assert first is not None
    where = Path(source.path).name if source else "the beginning"
    return f"attempt {attempt} went on from {where}, first step after {first.startup_s:.1f} s"


def hit_three_times(run: SupervisedRun, story: Story) -> None:
    """Hit the run three times, each time after new progress, so that there is something to lose."""
    victim = run.attempt(1)
    story.say(f"attempt 1 trains (pid {victim.pid})")
    run.progress(1)
    story.say(hit_in_a_step(run, victim))

    victim = run.attempt(2)
    story.say(came_back(run, 2))
    run.progress(2)
    story.say(hit_in_a_save(run, victim))

    victim = run.attempt(3)
    story.say(came_back(run, 3))
    run.progress(3)
    story.say(hit_with_rot(run, victim))

    run.attempt(4)
    story.say(came_back(run, 4))


def check_story(run: SupervisedRun) -> list[tuple[str, bool]]:
    """What must hold of the run directory besides the weights."""
    attempts = run.entries(AttemptStartedEntry)
    directory = run.paths.run_dir
    resumed = [entry for entry in attempts[1:] if entry.checkpoint]
    return [
        ("four attempts, three of them resumed", (len(attempts), len(resumed)) == (4, 3)),
        ("the damaged checkpoint was set aside", any((run.paths.set_aside / "invalid").glob("*"))),
        ("no half-written checkpoint is left", not any(directory.glob(STAGES))),
    ]


def compare(run: SupervisedRun, alone: UninterruptedRun) -> list[tuple[str, bool]]:
    """The final state of both runs, file by file."""
    # Imported here: torch takes seconds to import, and the runs need the cores until now.
    from demo.comparison import compare_checkpoints, compare_curves

    ours = newest_checkpoint(run.paths.run_dir)
    theirs = newest_checkpoint(alone.directory)
    parts = [
        *compare_checkpoints(ours, theirs, REQUIRED),
        compare_curves(run.paths.run_dir / "metrics.jsonl", alone.directory / "metrics.jsonl"),
    ]
    results = [(f"{ours.name} and {theirs.name} are of the same step", ours.name == theirs.name)]
    for part in parts:
        claim = f"{part.name}: {part.values:,} values equal, bit for bit"
        if not part.is_equal:
            shown = "; ".join(part.differences[:DIFFERENCES_SHOWN]) or "nothing to compare"
            claim = f"{part.name}: {len(part.differences)} differences: {shown}"
        results.append((claim, part.is_equal))
    return results


def tell(output: Path) -> bool:
    """Run the demo in `output`; whether everything held. Raises DemoError, OSError."""
    story = Story()
    prepare(output)
    run = SupervisedRun(output)
    story.say(f"supervisor run (output in {output}), beside it the same training left alone")
    alone = UninterruptedRun(output, run.command)
    try:
        hit_three_times(run, story)
        code = run.wait(FINISH_TIMEOUT_S)
        story.say(f"supervisor run ended with {code}")
        alone_code = alone.wait(FINISH_TIMEOUT_S)
        story.say(f"the uninterrupted run ended with {alone_code}")
    except (DemoError, OSError):
        for process in (run, alone):
            print(f"\nThe end of {process.output}:\n{process.last_lines()}", flush=True)
        raise
    finally:
        run.end()
        alone.end()

    print(f"\nWhat the supervisor tells of it (supervisor events {run.paths.run_dir}):\n")
    print(run.ask("events"))
    results = [("both runs finished", code == 0 and alone_code == 0), *check_story(run)]
    if results[0][1]:
        results += compare(run, alone)
    for claim, holds in results:
        print(f"  {'ok  ' if holds else 'FAIL'}  {claim}")
    return all(holds for _, holds in results)


def main() -> int:
    """Exit code 0 if everything held, else 1."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("demo-output"), metavar="DIR")
    output = parser.parse_args().output.resolve()
    try:
        passed = tell(output)
    except (DemoError, OSError) as error:
        print(f"\nFAIL: {error}", file=sys.stderr)
        return 1
    print("\nPASS: nothing was lost." if passed else "\nFAIL: see above.")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
