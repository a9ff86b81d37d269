"""The benchmark of messages times what arrives at a real web server."""

import time
from urllib.request import urlopen

import pytest

from benchmarks.receiver import receiver
from benchmarks.report import OURS
from benchmarks.telling import SILENT, end_ms, held_s, settings


def test_a_held_runs_message_is_timed() -> None:
    """From the death on; a run of another setting sends nothing there."""
    with settings() as (found, receivers):
        before = time.monotonic()
        took = held_s(found[OURS], receivers[OURS])
        assert 0 < took < time.monotonic() - before
        assert len(receivers[OURS].messages) == 1
        assert not receivers[SILENT].messages


def test_a_silent_target_holds_up_the_supervisors_end_alone() -> None:
    """The trainer's end comes first; a ping has arrived, and was not answered."""
    with settings() as (found, receivers):
        trained, ended = end_ms(found[SILENT])
        assert 0 < trained < ended
        assert receivers[SILENT].pings


@pytest.mark.parametrize("answers", [True, False])
def test_what_arrives_is_kept(answers: bool) -> None:
    """Also where no answer is given."""
    with receiver(answers=answers) as to:
        if answers:
            assert urlopen(to.ping_address, timeout=30).status == 200
        else:
            with pytest.raises(TimeoutError):
                urlopen(to.ping_address, timeout=0.5)
        assert len(to.pings) == 1
        assert not to.messages
