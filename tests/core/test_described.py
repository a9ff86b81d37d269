"""What a trainer says of itself: recorded, told once, and what "finished" cannot be."""

from dataclasses import replace

import pytest

from supervisor.core.effects import Effect, Launch, Record, Say
from supervisor.core.ending import OwnRecord
from supervisor.core.policy import Policy
from supervisor.core.rules.goodput import bucket
from supervisor.core.rules.resumption import initial_state
from supervisor.core.states import Checkpoint
from supervisor.core.trainer_description import Described, TrainerDescription, TrainingSaid
from supervisor.core.vocabulary import RunState
from tests.core.world import World, history_of

ONE, TWO = "/data/one", "/data/two"


def said(directory: str | None = ONE, total: int | None = 40, **more: object) -> TrainerDescription:
    """A description as an adapter gives it."""
    training = TrainingSaid(directory, began=1)
    facts: dict[str, object] = {"framework": "huggingface 5.24", "training": training, **more}
    return TrainerDescription(directory=directory, total_steps=total, **facts)  # type: ignore[arg-type]


def tell(
    world: World, description: TrainerDescription, elsewhere: str | None = None
) -> list[Effect]:
    """The running attempt's trainer describes itself."""
    return world.feed(Described(world.state.attempt, description, elsewhere))


def training() -> World:
    """A world whose first attempt runs."""
    world = World()
    world.begin()
    return world


def at(place: str, step: int) -> Checkpoint:
    """A checkpoint of this run in a directory that its trainer named."""
    return Checkpoint(f"{place}/checkpoint-{step}", step, place=place, says_who=False)


def exited(world: World, **more: object) -> None:
    """The attempt exits with 0."""
    facts: dict[str, object] = {"code": 0, "failure": "completed", "reason": "", **more}
    world.launched(world.end(**facts))


def replayed(world: World) -> World:
    """The world as the next daemon knows it from the ledger, while the attempt goes on."""
    entries = [e.entry for e in world.effects if isinstance(e, Record)]
    started: dict[str, object] = {"type": "attempt_started", "attempt": world.state.attempt}
    history = history_of([started, *(entry.to_json() for entry in entries)])
    state = initial_state(history, world.policy, now=world.now, wall=0.0)
    after = World(policy=world.policy, now=world.now)
    after.state = replace(state, run=RunState.RUNNING, alive=True)
    return after


def test_it_is_recorded_as_it_changes() -> None:
    """The ledger has what it is, where it saves, and its best; not each step."""
    world = training()
    tell(world, said())
    tell(world, said(training=TrainingSaid(ONE, began=1, step=10)))
    tell(world, said(best=f"{ONE}/checkpoint-10"))
    tell(world, said(best=f"{ONE}/checkpoint-10", training=TrainingSaid(ONE, has_ended=True)))
    entries = world.records("described")
    assert [entry["best"] for entry in entries] == [None, f"{ONE}/checkpoint-10"]
    assert entries[0]["training"] == {"directory": ONE, "ordinal": 1}
    after = replayed(world)
    assert after.state.description == said(
        best=f"{ONE}/checkpoint-10", training=TrainingSaid(ONE, 1)
    )
    assert after.state.ever_attached
    assert not [e for e in tell(after, said(best=f"{ONE}/checkpoint-10")) if isinstance(e, Record)]


def test_sentences_are_told_once() -> None:
    """Each sentence is an event and a line once in an attempt, with another daemon too."""
    world = training()
    tell(world, said(told=("7 batches are repeated",)))
    tell(world, said(told=("7 batches are repeated", "the adapter is off")))
    told = [entry["sentence"] for entry in world.records("trainer_told")]
    assert told == ["7 batches are repeated", "the adapter is off"]
    assert [e.line for e in world.effects if isinstance(e, Say)] == [
        "the trainer says: 7 batches are repeated", "the trainer says: the adapter is off",
    ]  # fmt: skip
    after = replayed(world)
    tell(after, said(told=("7 batches are repeated", "the adapter is off")))
    assert after.records("trainer_told") == []


def test_endless_words_are_bounded() -> None:
    """A trainer of ten thousand trials and sentences does not fill the ledger."""
    world = training()
    for trial in range(2000):
        tell(world, said(total=trial + 1, told=(f"sentence {trial}",)))
    assert len(world.records("trainer_told")) == 50
    assert len(world.records("described")) == 200
    tell(world, said("/data/new"))
    assert world.records("described")[-1]["directory"] == "/data/new"


def test_another_directory_than_the_configured_one_is_told_once() -> None:
    """Once with both paths; `status` shows it as long as it is so; other attempts do not repeat."""
    world = training()
    for _ in range(2):
        tell(world, said(), "/data/ckpt")
    (line,) = [e.line for e in world.effects if isinstance(e, Say)]
    assert ONE in line
    assert "/data/ckpt" in line
    assert world.state.elsewhere == line
    assert replayed(world).state.told_elsewhere == (line,)
    world.end()
    world.now += 400.0
    world.effects.clear()
    world.state = replace(world.state, run=RunState.RUNNING, alive=True, attempt=2)
    tell(world, said(), "/data/ckpt")
    assert not [e for e in world.effects if isinstance(e, Say)]
    tell(world, said())
    assert world.state.elsewhere is None


def test_an_outer_training_that_goes_on_saves_where_it_did() -> None:
    """A training within another one ends: the outer one's directory counts again."""
    world = training()
    tell(world, said(ONE))
    tell(world, said(TWO))
    outer = replace(said(ONE), directory=TWO)  # as the file says it: only the training went back
    tell(world, outer)
    tell(world, replace(outer, best=f"{ONE}/best"))
    assert [entry["directory"] for entry in world.records("described")] == [ONE, TWO, ONE, ONE]
    after = replayed(world)
    tell(after, outer)
    assert after.state.description is not None
    assert after.state.description.directory == ONE
    tell(after, replace(outer, directory="/data/three"))
    assert after.records("described")[-1]["directory"] == "/data/three"


@pytest.mark.parametrize(
    ("description", "step", "words"),
    [
        (said(), 25, "its training was at step 25 of 40, and had not ended"),
        (said(), None, "its training of 40 steps had made no step, and had not ended"),
        (said(training=TrainingSaid(ONE, step=12)), None, "step 12 of 40"),
        (said(), 40, None),
        (said(total=None), 25, None),
        (said(training=TrainingSaid(ONE, has_ended=True)), 25, None),
        (said(training=None), 25, None),
    ],
)
def test_an_exit_with_0_before_the_last_step(
    description: TrainerDescription, step: int | None, words: str | None
) -> None:
    """Finished are: the last step, an end of its own, and what nobody contradicts."""
    world = training()
    tell(world, description)
    exited(world, step=step, outcome_code=None)
    assert (world.state.run is RunState.COMPLETED) == (words is None)
    if words is not None:
        (end,) = world.records("attempt_ended")
        assert words in str(end["doubt"])
        assert end["doubt"]["kind"] == "described"  # type: ignore[index]


def test_the_last_training_counts() -> None:
    """Stage 1 has ended, stage 2 has begun: an exit with 0 in stage 2 is not the end."""
    world = training()
    tell(world, said(ONE, training=TrainingSaid(ONE, began=1, has_ended=True)))
    tell(world, said(TWO, training=TrainingSaid(TWO, began=2)))
    exited(world, step=5)
    assert world.state.run is not RunState.COMPLETED


def test_its_own_last_word_outranks_its_description() -> None:
    """`finish()` says that the script is done; the reason keeps what spoke against it."""
    world = training()
    tell(world, said())
    exited(world, step=25, outcome_code=0)
    assert world.state.run is RunState.COMPLETED
    assert "step 25 of 40" in world.state.reason


@pytest.mark.parametrize(
    ("description", "told"),
    [
        (said(training=TrainingSaid(ONE, has_ended=True)), " of 40: the training ended by itself"),
        (said(training=None), " of 40: the training exited with 0 there"),
    ],
)
def test_a_finish_below_the_total_says_so(description: TrainerDescription, told: str) -> None:
    """Early stopping is a finish, and the reason names both numbers."""
    world = training()
    tell(world, description)
    exited(world, step=25)
    assert world.state.run is RunState.COMPLETED
    assert f"finished at step 25{told}" in world.state.reason


def test_an_early_stop_outranks_the_trainers_record() -> None:
    """HF's record of fewer steps is no doubt where the adapter saw training end by itself."""
    world = training()
    tell(world, said(training=TrainingSaid(ONE, has_ended=True)))
    exited(world, step=25, record=OwnRecord("trainer_state.json", 25, 40, is_end=True))
    assert world.state.run is RunState.COMPLETED


def test_the_second_exit_with_0_and_no_step_is_believed() -> None:
    """A loop that ends early and does not say so is not relaunched for ever."""
    world = training()
    tell(world, said())
    world.checkpoints = (at(ONE, 25),)
    exited(world, step=25)
    assert world.state.attempt == 2
    tell(world, said(resumed_from=f"{ONE}/checkpoint-25"))
    exited(world, step=None)
    assert world.state.run is RunState.COMPLETED


def test_a_second_stage_makes_progress_from_step_1() -> None:
    """Each new step in a directory refills the budgets, though another directory has later ones."""
    world = World(policy=Policy(max_failures=2))
    world.begin()
    for place, step in ((ONE, 1000), (TWO, 10), (TWO, 20), (TWO, 30)):
        tell(world, said(place))
        world.checkpoints = (at(place, step),)
        world.launched(world.end(step=step + 1))
        assert world.state.run is RunState.RUNNING, (place, step)
    progress = [(entry["place"], entry["step"]) for entry in world.records("progress")]
    assert progress == [(ONE, 1000), (TWO, 10), (TWO, 20), (TWO, 30)]
    # Back to the first stage: nothing new there, so that failures count.
    world.checkpoints = (at(ONE, 1000),)
    for _ in range(2):
        world.now += 400.0
        if world.state.run is RunState.RUNNING:
            world.launched(world.end(step=5))
    assert len(world.records("progress")) == 4
    budget = replayed(world).state.budget
    assert dict(budget.progress_places) == {ONE: 1000, TWO: 30}


def test_a_described_trainer_is_told_to_resume() -> None:
    """Without `resume.args`, a trainer that described itself before any look goes on."""
    world = training()
    tell(world, said())
    world.checkpoints = (at(ONE, 20),)
    effects = world.end(attached=False, step=20)
    launches = [e for e in effects if isinstance(e, Launch)]
    assert launches
    assert launches[0].checkpoint == at(ONE, 20)


def test_sentences_alone_do_not_show_that_it_resumes() -> None:
    """An adapter that is off only says why: its trainer is told nothing."""
    world = training()
    tell(world, TrainerDescription(told=("the adapter for huggingface is off",)))
    world.checkpoints = (at(ONE, 20),)
    world.end(attached=False, step=20)
    assert world.state.run is RunState.HELD
    assert "is not told to resume" in world.state.reason
    assert world.records("described") == []


def test_steps_of_an_earlier_stage_are_no_doubt_on_a_checkpoint() -> None:
    """Stage 1's last checkpoint has more steps than stage 2 has shown: nobody else wrote it."""
    world = training()
    tell(world, said(TWO))
    world.checkpoints = (at(ONE, 1000),)
    effects = world.end(step=5)
    assert not [e for e in effects if isinstance(e, Say) and e.is_doubt]


def test_news_of_another_attempt_is_passed_over() -> None:
    """A description of an attempt that is over changes nothing."""
    world = training()
    before = world.state
    assert world.feed(Described(7, said())) == []
    assert world.state == before


def test_a_second_stage_makes_its_own_steps() -> None:
    """Its steps are training, not a replay of the first stage's, also after a daemon's start."""
    world = training()
    tell(world, said(ONE))
    world.checkpoints = (at(ONE, 100),)
    world.launched(world.end(step=100))
    worlds = [world, replayed(world)]
    for one in worlds:
        one.state = replace(one.state, activity=replace(one.state.activity, step=5))
        assert bucket(one.state) == "replaying_s"
        tell(one, said(ONE))
        assert bucket(one.state) == "replaying_s"
        tell(one, said(TWO))
        assert bucket(one.state) == "training_s"


SIGN = TrainerDescription(framework="accelerate 1.15.0", directory=ONE)


def test_a_loop_that_gives_only_signs_of_life_has_entries_of_its_own() -> None:
    """Older versions take `described` for the word of a trainer that learns where to resume."""
    world = training()
    tell(world, SIGN)
    tell(world, SIGN)
    assert world.records("described") == []
    (entry,) = world.records("sign_described")
    assert (entry["framework"], entry["directory"]) == ("accelerate 1.15.0", ONE)
    for one in (world, replayed(world)):
        assert one.state.description == SIGN
        assert not one.state.ever_attached
        one.checkpoints = (at(ONE, 20),)
        one.end(attached=False, step=20)
        assert one.state.run is RunState.HELD
        assert "is not told to resume" in one.state.reason


@pytest.mark.parametrize(
    ("description", "has_attached"),
    [
        (SIGN, True),
        (replace(SIGN, total_steps=40), False),
        (replace(SIGN, best=f"{ONE}/checkpoint-10"), False),
        (said(total=None), False),
    ],
)
def test_whoever_attaches_or_says_more_is_no_such_loop(
    description: TrainerDescription, has_attached: bool
) -> None:
    """A script that attaches may say no more than where it saves."""
    world = training()
    world.feed(Described(1, description, has_attached=has_attached))
    assert len(world.records("described")) == 1
    assert world.records("sign_described") == []
    assert world.state.ever_attached
    assert replayed(world).state.ever_attached
