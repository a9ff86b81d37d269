"""A long reading of checkpoints is reported while a decision waits; many cost linear work."""

import json
import select
from pathlib import Path

import pytest

from supervisor.checkpoint.records import CheckpointEntry
from supervisor.daemon.look.attempt_times import AttemptTimes
from supervisor.daemon.look.surveyor import Answer
from supervisor.daemon.tell.checkpoint_verdicts import entry_of, memory_of
from supervisor.daemon.tell.long_survey import LongReading
from supervisor.survey.request import SurveyRequest
from supervisor.survey.survey import survey
from tests.checkpoint.conftest import as_json, make_old, write_files
from tests.checkpoint.test_series import calls
from tests.core.world import noted
from tests.daemon.test_surveyor import surveyor


def heard(looks: list[tuple[float, bool]]) -> list[str]:
    """The messages, given the times of looks and whether a decision waits then."""
    said: list[str] = []
    reading = LongReading(said.append)
    for now, is_waited_for in looks:
        reading.poll(now, is_waited_for=is_waited_for)
    return said


def test_a_long_survey_is_said_once_a_minute() -> None:
    """After 5 s, with the time so far, and then once a minute."""
    looks = [(100.0 + tick / 2, True) for tick in range(2 * 130)]
    assert heard(looks) == [
        f"the checkpoints are still being read, for {s} s so far" for s in (5, 65, 125)
    ]


@pytest.mark.parametrize(
    "looks",
    [
        [(float(tick), False) for tick in range(100)],
        [(float(tick), tick % 5 != 0) for tick in range(100)],
    ],
    ids=["no decision", "one after the other"],
)
def test_nothing_is_said_of_short_ones(looks: list[tuple[float, bool]]) -> None:
    """Surveys without a waiting decision, and many quick ones, bring no message."""
    assert heard(looks) == []


def hf_entry(folder: Path) -> CheckpointEntry:
    """A checkpoint whose record names a best one."""
    state = as_json(global_step=10, best_model_checkpoint="out/checkpoint-10")
    content = {"model.bin": b"weights", "optimizer.pt": b"\x80\x04N.", "trainer_state.json": state}
    write_files(folder / "checkpoint-10", content)
    return survey(SurveyRequest(folder, "run", quiet=True, first_attempt_wall=0.0)).entries[0]


def test_the_ledger_keeps_whom_a_record_calls_the_best(tmp_path: Path) -> None:
    """`names_best` survives JSON; a ledger of an earlier version has none."""
    found = hf_entry(tmp_path)
    assert found.names_best == "checkpoint-10"
    entry = json.loads(json.dumps(entry_of(found, progress=False).to_json()))
    assert memory_of([noted(entry)])[str(found.path)].names_best == "checkpoint-10"
    old = {key: value for key, value in entry.items() if key != "names_best"}
    assert memory_of([noted(old)])[str(found.path)].names_best is None


def test_an_answer_of_many_is_linear(tmp_path: Path) -> None:
    """Four times as many checkpoints are four times the daemon's work, new or known."""
    work: dict[str, list[int]] = {"new": [], "known": []}
    for count in (50, 200):
        (tmp_path / str(count)).mkdir()
        one = surveyor(tmp_path / str(count))
        for step in range(count):
            write_files(one.directory / f"checkpoint-{step}", {"weights.bin": b"weights"})
        make_old(one.directory)
        for counts in work.values():
            assert one.begin(deciding=True, pins=frozenset(), times=AttemptTimes(0.0)) is None
            answers: list[Answer] = []

            def poll() -> None:
                found = one.poll()  # noqa: B023
                answers.extend([] if found is None else [found])  # noqa: B023

            count_of_calls = 0
            while not answers:
                assert select.select([one], [], [], 30)[0]
                count_of_calls = calls(poll)
            counts.append(count_of_calls)
            assert answers[0].survey is not None
            assert len(answers[0].survey.entries) == count
        one.cancel()
    for few, many in work.values():
        assert many < 4.4 * few


def test_a_numbered_directory_is_worth_a_look(tmp_path: Path) -> None:
    """A numbered name is listed, because orbax uses no other; `images` is not."""
    one = surveyor(tmp_path)
    (one.directory / "100").mkdir()
    (one.directory / "images").mkdir()
    assert [name for name, _ in one.listing()] == ["100"]
