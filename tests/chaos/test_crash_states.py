"""After a power cut at any moment, in any state that POSIX allows, the writer's promises hold."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.chaos.crash_states import Limits, enumerate_states
from tests.chaos.operations import ROOT, Enter, Inode, Leave, Mark, Put, Recording, Sync
from tests.chaos.scenarios import SCENARIOS, Outcome, describe, trace, try_states

pytestmark = pytest.mark.usefixtures("strace")

SMALL = Limits(subsets=24, contents=10, combinations=16)
FULL = Limits(subsets=256, contents=60, combinations=300)
SEEDS = (1, 2, 3)

Count = Callable[[str, object], None]
Trace = Callable[..., Recording]


@pytest.fixture(scope="module")
def trace_once(tmp_path_factory: pytest.TempPathFactory) -> Trace:
    """The recording of a scenario with a planted fault; each is made once."""

    @cache
    def run(name: str, *faults: str) -> Recording:
        return trace(SCENARIOS[name], tmp_path_factory.mktemp("traced"), *faults)

    return run


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SCENARIOS)
def test_every_legal_state_keeps_the_promise(
    name: str, trace_once: Trace, fast_disk: Path, is_full: bool, record_property: Count
) -> None:
    """Each state has the old or the new checkpoint, whole; after the reported end the new one."""
    scenario = SCENARIOS[name]
    recording = trace_once(name)
    total = Outcome()
    for seed in SEEDS if is_full else SEEDS[:1]:
        limits = (FULL if is_full else SMALL)._replace(seed=seed)
        outcome = try_states(recording, scenario.judge, fast_disk / "state", limits=limits)
        total.states += outcome.states
        total.problems += outcome.problems
    assert not total.problems, "\n".join(describe(recording))
    assert total.states > 20
    record_property("state after a power cut", total.states)


# The scenario, and the end of the flushed path ("." is the watched directory).
NEEDED = [
    ("a further checkpoint", "model.pt"),
    ("a further checkpoint", "shards/rank-0.bin"),
    ("a further checkpoint", "training_state.json"),
    ("a further checkpoint", "manifest.json"),
    ("a further checkpoint", "shards"),
    ("a further checkpoint", "saves/checkpoint-500"),
    ("a further checkpoint", "saves"),
    ("the first checkpoint", "."),
    ("over the only one", "model.pt"),
    ("over the only one", "-checkpoint-500"),
    ("persisting a snapshot", "train.log"),
    ("persisting a snapshot", "model.pt"),
    ("persisting a snapshot", "manifest.json"),
    ("persisting a snapshot", "saves/checkpoint-500"),
    ("persisting a snapshot", "saves"),
    ("a rollback", "saves/.set-aside"),
    ("a rollback, to the run directory", "state/set-aside"),
    ("a rollback, to the run directory", "state"),
    ("pruning", "saves"),
    ("the ledger", "ledger.jsonl"),
    ("the ledger", "."),
    ("an intent", "intent.json"),
    ("an intent", "."),
]


@pytest.mark.parametrize(("name", "flushed"), NEEDED)
def test_without_a_flush_it_is_found(
    name: str, flushed: str, trace_once: Trace, fast_disk: Path, record_property: Count
) -> None:
    """Without any one kind of fsync, a promise is broken in one of the states."""
    scenario = SCENARIOS[name]
    recording = trace_once(name)
    flushes = [
        index
        for index, one in enumerate(recording.operations)
        if isinstance(one, Sync)
        and (recording.names[one.inode] == flushed or recording.names[one.inode].endswith(flushed))
        and (flushed != "saves" or recording.names[one.inode] == "saves")
    ]
    assert flushes
    broken = recording.without(*flushes)
    outcome = try_states(broken, scenario.judge, fast_disk / "state", limits=SMALL, most=1)
    assert outcome.problems, "\n".join(describe(broken))
    record_property("planted fault found", 1)


@pytest.mark.parametrize("name", ["a further checkpoint", "persisting a snapshot"])
def test_a_rename_before_the_flush_is_found(
    name: str, trace_once: Trace, fast_disk: Path, record_property: Count
) -> None:
    """With the rename before the flush, a state has a torn checkpoint under its name."""
    scenario = SCENARIOS[name]
    early = trace_once(name).renamed_early("checkpoint-500")
    outcome = try_states(early, scenario.judge, fast_disk / "state", limits=SMALL, most=1)
    assert "torn" in str(outcome.problems)
    record_property("planted fault found", 1)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("a further checkpoint", "without_file_sync"),
        ("a further checkpoint", "without_directory_sync"),
        ("a further checkpoint", "renamed_before_written"),
        ("persisting a snapshot", "without_file_sync"),
        ("persisting a snapshot", "without_directory_sync"),
        ("over the only one", "aside_before_written"),
        ("a rollback", "without_directory_sync"),
        ("pruning", "deleted_in_place"),
        ("pruning", "without_directory_sync"),
        ("the ledger", "without_directory_sync"),
        ("an intent", "without_file_sync"),
    ],
)
def test_a_bug_in_the_writer_is_found(
    name: str, fault: str, trace_once: Trace, fast_disk: Path, record_property: Count
) -> None:
    """strace of a writer that really has the bug leads to a state that breaks the promise."""
    scenario = SCENARIOS[name]
    recording = trace_once(name, fault)
    outcome = try_states(recording, scenario.judge, fast_disk / "state", limits=SMALL, most=1)
    assert outcome.problems, "\n".join(describe(recording))
    record_property("planted fault found", 1)


def _two_files(*operations: object) -> Recording:
    folders = {ROOT: Inode(entries={"old": 1}), 1: Inode(data=bytearray(b"old"))}
    return Recording(folders, list(operations), frozenset({ROOT}), {})  # type: ignore[arg-type]


def test_the_model_by_hand() -> None:
    """An unsynced name, unsynced bytes and a rename have exactly these states."""
    written = _two_files(Enter(ROOT, "new", 2), Put(2, 0, b"ab"), Sync(2, 2), Mark("said"))
    trees = [(state.tree, state.marks) for state in enumerate_states(written)]
    last = [tree for tree, marks in trees if marks]
    assert last == [{"old": b"old"}, {"old": b"old", "new": b"ab"}]
    contents = {bytes(tree["new"] or b"") for tree, marks in trees if "new" in tree}
    assert contents == {b"", b"a", b"ab", bytes(2), b"\1\2"}

    moved = _two_files(Enter(ROOT, "new", 1), Leave(ROOT, "old", 1, after=0))
    names = {tuple(sorted(state.tree)) for state in enumerate_states(moved)}
    assert names == {("old",), ("new", "old"), ("new",)}
    synced = _two_files(*moved.operations, Sync(ROOT, 2), Mark("said"))
    states = [state for state in enumerate_states(synced) if state.marks]
    assert [set(state.tree) for state in states] == [{"new"}]
