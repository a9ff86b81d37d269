"""What a stop saved, by the files' own times, by both clocks, and by the log's steps."""

import pytest

from supervisor.core.ending import Ending
from supervisor.core.events import Begun, Exited, IntentChanged, StopAsked, Surveyed
from supervisor.core.rules.saved_by_stop import what_was_saved
from supervisor.core.states import Checkpoint, Stop
from supervisor.core.vocabulary import Intent, RunState, StopSource
from tests.core.world import World, checkpoint, died, history_of

STOP_WALL = 5000.3
ROUTINE = "; newest checkpoint: step 20, from 9 s before the stop; 15 steps since then are lost"


def told(
    written: float,
    *,
    step: int | None = 20,
    ahead_s: float | None = 0.0,
    seen_before: int | None = None,
    late: bool = False,
    reached: int | None = 35,
    **ending: object,
) -> tuple[bool, str]:
    """Whether one checkpoint counts as saved after a stop at STOP_WALL, and the words for it."""
    facts: dict[str, object] = {"step": reached, "code": 0, **ending}
    stop = Stop(StopSource.SIGTERM, 100.0, progress_before=seen_before, late=late, wall=STOP_WALL)
    one = Checkpoint("/run/ckpt.pt", step, written=written)
    saved = what_was_saved(stop, (one,), died(1, **facts), ahead_s)
    return saved.is_saved, saved.words


@pytest.mark.parametrize(
    ("after_s", "expected"),
    [
        (-9.0, (False, ROUTINE)),
        (-0.4, (False, ROUTINE.replace("9 s", "less than a second"))),
        (-3600.0, (False, ROUTINE.replace("9 s", "60 min"))),
        # The clock that stamps files ticks less often than the wall clock.
        (-0.01, (True, ", saved at step 20; 15 steps since then are lost")),
        (0.5, (True, ", saved at step 20; 15 steps since then are lost")),
    ],
)
def test_a_files_time_decides(after_s: float, expected: tuple[bool, str]) -> None:
    """A routine checkpoint from before the stop is not its save, even if unseen until then."""
    assert told(STOP_WALL + after_s) == expected


def test_what_was_seen_before_and_written_again_was_saved() -> None:
    """The stop made the trainer save the same step anew."""
    assert told(STOP_WALL + 2.5, seen_before=20, step=20)[0]


def test_a_servers_clock_is_allowed_for() -> None:
    """With a server 30 s ahead, a file from 9 s before the stop has a time after the stop."""
    assert told(STOP_WALL - 9.0 + 30.0, ahead_s=30.0) == (False, ROUTINE)
    assert told(STOP_WALL + 0.5 - 30.0, ahead_s=-30.0)[0]


@pytest.mark.parametrize("seen_before", [None, 20])
def test_without_a_clock_what_was_seen_decides(seen_before: int | None) -> None:
    """Without the server's clock, a checkpoint seen before the stop was saved before it."""
    is_saved, words = told(STOP_WALL - 9.0, ahead_s=None, seen_before=seen_before)
    assert is_saved is (seen_before is None)
    assert is_saved or "step 20, from before the stop; 15 steps since then are lost" in words


def test_whole_seconds_round_down() -> None:
    """Without fractions of seconds, a file from just after the stop may have an earlier time."""
    assert told(5000.0)[0]
    assert told(4998.0) == (False, ROUTINE.replace("9 s", "2 s"))


def test_a_stop_that_found_an_ended_attempt_saved_nothing() -> None:
    """The checkpoint is from before the stop, even without a known clock."""
    assert told(STOP_WALL - 9.0, ahead_s=None, late=True) == (False, ROUTINE)


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        ({"reached": None}, "step 20, from 9 s before the stop; the steps since then are lost"),
        ({"reached": None, "logged": (1, 35)}, "15 steps since then are lost"),
        ({"reached": None, "logged": (21, 35)}, "the steps since then are lost"),
        ({"reached": None, "logged": (1, 7)}, "the steps since then are lost"),
        ({"reached": 3}, " at step 3; newest checkpoint: step 20, from 9 s before the stop; the"),
        ({"reached": 20}, "from 9 s before the stop; no step since then is lost"),
        ({"reached": 21}, "; 1 step since then is lost"),
    ],
)
def test_the_loss_is_told_only_where_the_counts_are_alike(
    ending: dict[str, object], expected: str
) -> None:
    """A counter below the checkpoint's step counts something else, so no loss is computed."""
    is_saved, words = told(STOP_WALL - 9.0, **ending)
    assert not is_saved
    assert expected in words


def test_its_own_word_counts_at_its_last_step() -> None:
    """A trainer that has saved its last step may leave with 75 without another save."""
    assert told(STOP_WALL - 9.0, step=35, outcome_code=75)[0]
    assert not told(STOP_WALL - 9.0, step=20, outcome_code=75)[0]


def test_a_name_without_a_step_is_told_by_its_time() -> None:
    """`ckpt.pt` is rewritten in place: its time decides."""
    assert told(STOP_WALL + 1.0, step=None) == (True, ", saved to ckpt.pt")
    is_saved, words = told(STOP_WALL - 9.0, step=None)
    assert not is_saved
    assert "newest checkpoint: ckpt.pt, from 9 s before the stop; the steps" in words


def test_what_came_after_is_told_though_a_routine_one_has_a_step() -> None:
    """An emergency save without a step counts, beside an older numbered checkpoint."""
    stop = Stop(StopSource.SIGTERM, 100.0, wall=STOP_WALL)
    numbered = Checkpoint("/run/checkpoint-20", 20, written=STOP_WALL - 9.0)
    emergency = Checkpoint("/run/last.ckpt", None, written=STOP_WALL + 1.5)
    ending = Ending(1, 0, None, step=35)
    assert what_was_saved(stop, (numbered, emergency), ending, 0.0).words == ", saved to last.ckpt"


def test_a_save_by_rank_0_of_another_node() -> None:
    """This node's supervisor sees no checkpoint; its ranks say what was saved."""
    stop = Stop(StopSource.SIGTERM, 100.0, wall=STOP_WALL)
    ending = Ending(1, 1, None, step=35, outcome_code=75, told_checkpoint="/shared/checkpoint-35")
    saved = what_was_saved(stop, (), ending, 0.0)
    words = " at step 35, saved to /shared/checkpoint-35 by rank 0, on another node"
    assert (saved.is_saved, saved.words) == (True, words)
    told_nothing = what_was_saved(stop, (), Ending(1, 1, None, step=35, outcome_code=75), 0.0)
    assert not told_nothing.is_saved


def test_a_persisted_snapshot_tells_what_it_lacks() -> None:
    """A snapshot persisted after the stop was taken before it: its step shows the loss."""
    assert told(STOP_WALL + 4.2, step=30) == (
        True,
        ", saved at step 30; 5 steps since then are lost",
    )


@pytest.mark.parametrize("intent", [False, True])
def test_the_time_of_a_stop_is_on_record(intent: bool) -> None:
    """The next daemon reads the stop's time; in an older ledger the entry's own time serves."""
    first = World(checkpoints=(checkpoint(10, written=100.5),))
    first.begin()
    event = (
        IntentChanged(Intent.STOP, STOP_WALL)
        if intent
        else StopAsked(StopSource.SIGTERM, wall=STOP_WALL)
    )
    first.feed(event)
    (entry,) = first.records("stop_requested")
    history = history_of([{**entry, "wall": STOP_WALL + 7.0}])
    assert history.stop_wall == pytest.approx(STOP_WALL, abs=0.001)
    old = {key: value for key, value in entry.items() if key != "asked_wall"}
    assert history_of([{**old, "wall": 5007.0}]).stop_wall == 5007.0
    first.checkpoints = (checkpoint(20, written=STOP_WALL - 9.0),)
    first.end(code=143, step=35)
    assert "from 9 s before the stop; 15 steps since then are lost" in first.state.reason
    assert first.records("attempt_ended")[0]["saved"] is False


def test_a_daemon_that_takes_over_judges_by_the_recorded_time() -> None:
    """The new daemon sees the routine checkpoint for the first time, and calls it unsaved."""
    world = World()
    world.feed(Begun(Intent.RUN, alive=True, stop_by=StopSource.SIGTERM, stop_wall=STOP_WALL))
    assert world.state.run is RunState.DRAINING
    world.feed(Exited(died(0, code=0, step=35)))
    world.feed(Surveyed(candidates=(checkpoint(20, written=STOP_WALL - 9.0),), exists=True))
    assert world.state.reason == f"stopped by SIGTERM{ROUTINE}"
