"""What a message says."""

from dataclasses import replace

from supervisor.core.ending import Advice
from supervisor.core.save_interval_status import SaveIntervalStatus
from supervisor.core.status import CheckpointStatus, GoodputStatus, Status
from supervisor.notify.message import message, trial
from supervisor.notify.occasions import ASKED_AGAIN, SAVES_AGAIN, Occasion

STATUS = Status(
    run="gpt", host="node1", run_dir="/runs/gpt", step=1200, total=5000, attempt=3,
    checkpoint=CheckpointStatus("/runs/gpt/checkpoint-1000", 1000), config="/c f.yaml",
)  # fmt: skip
HELD = Occasion(
    "held", 1, 0.0, "a step's loss is nan", "Nothing is launched.", ("line one", "line two"),
    Advice(sentence="Lower the rate.", command="supervisor resume"),
)  # fmt: skip


def test_it_says_everything() -> None:
    """Run, host, what happened, what was done, evidence, what is lost, what to type."""
    said = message([HELD], STATUS)
    assert said.title == "gpt on node1: held, it needs you"
    assert said.kind == "failure"
    for part in (
        "What happened: a step's loss is nan.", "Nothing is launched", "line one", "line two",
        "Step: 1200 of 5000, attempt 3.", "Lost: 200 steps since /runs/gpt/checkpoint-1000",
        "Lower the rate", "Run directory: /runs/gpt",
        "To go on:\n  supervisor resume /runs/gpt\n  supervisor run '/c f.yaml'\n",
    ):  # fmt: skip
        assert part in said.body


def test_a_launch_that_is_refused_needs_no_second_supervisor() -> None:
    """The one that waits goes on by itself."""
    said = message([Occasion("held", 1, 0.0, "no GPU", ASKED_AGAIN)], STATUS)
    assert said.title == "gpt on node1: is not launched, it needs you"
    assert "To have it asked at once: supervisor resume /runs/gpt\n" in said.body
    assert "supervisor run" not in said.body


def test_a_burst_is_counted() -> None:
    """The newest is told whole, those before it in a line each."""
    before = [Occasion("restarts", n, 0.0, "died") for n in (1, 2, 3)]
    said = message([*before, HELD], STATUS)
    assert said.title.endswith("(4 messages in one)")
    assert "died and was started again: 3 times" in said.body


def test_log_text_is_data() -> None:
    """Control sequences, line breaks and endless lines do not reach the target as they are."""
    evil = Occasion("hang", 1, 0.0, "x\x1b[31m\nSubject: evil" + "a" * 5000)
    said = message([evil], STATUS)
    (line,) = [line for line in said.body.splitlines() if line.startswith("What happened")]
    assert "\x1b" not in said.body
    assert len(line) < 500


def test_without_a_checkpoint_all_is_lost() -> None:
    """And a finished run has lost nothing."""
    bare = Status(run="gpt", host="h", run_dir="/r", step=5)
    assert "there is no checkpoint" in message([HELD], bare).body
    assert "Lost" not in message([Occasion("finished", 1, 0.0, "all steps")], STATUS).body


def test_a_finished_run_says_how_often_to_save_next_time() -> None:
    """Not one that trained for a moment, and no message but the last."""
    saves = SaveIntervalStatus(best_s=720.0, save_s=0.5, failures=1)
    done = Occasion("finished", 1, 0.0, "all steps")
    long, short = (
        replace(STATUS, save_interval=saves, goodput=GoodputStatus(training_s=seconds))
        for seconds in (3600.0, 60.0)
    )
    assert (
        "Saves: the least is lost by every 12 min: a save takes 0.5 s" in message([done], long).body
    )
    assert "Saves:" not in message([done], short).body
    assert "Saves:" not in message([done], STATUS).body
    assert "Saves:" not in message([HELD], long).body


def test_the_trial_says_what_it_is() -> None:
    """Nobody must take it for a failure."""
    assert "this is a test" in trial("gpt", "node1").title


def test_a_save_after_a_failed_one_is_not_told_as_training() -> None:
    """Training never stopped."""
    said = message([Occasion("recovered", 1, 0.0, SAVES_AGAIN)], STATUS)
    assert said.title == "gpt on node1: saves again"
