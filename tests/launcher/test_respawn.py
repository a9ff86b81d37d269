"""The pause before the next process doubles from the first to the longest."""

from hypothesis import given
from hypothesis import strategies as st

from supervisor.launcher.children.backoff import (
    FIRST_PAUSE_S,
    GOOD_LIFE_S,
    LONGEST_PAUSE_S,
    Respawn,
)


def test_the_pause_doubles_up_to_the_longest() -> None:
    """The pause doubles: 0.1 s, 0.2 s, 0.4 s, up to 30 s, and no further."""
    respawn, now, pauses = Respawn(), 1000.0, []
    for _ in range(12):
        respawn.started(now)
        assert respawn.at is None
        assert not respawn.is_due(now + 1e9)
        pauses.append(respawn.ended(now))
        assert respawn.at == now + pauses[-1]
    assert pauses[:4] == [0.1, 0.2, 0.4, 0.8]
    assert pauses[8:] == [25.6, 30.0, 30.0, 30.0]


def test_one_that_has_lived_is_forgiven() -> None:
    """After a minute of life, and not a second less, the next pause is the first again."""
    respawn = Respawn()
    respawn.ended(0.0)
    respawn.started(10.0)
    assert respawn.ended(10.0 + GOOD_LIFE_S - 0.1) == 2 * FIRST_PAUSE_S
    respawn.started(100.0)
    assert respawn.ended(100.0 + GOOD_LIFE_S) == FIRST_PAUSE_S


def test_a_start_that_fails_is_tried_again_after_the_same_pause() -> None:
    """A failed start is not a death: it does not make the next pause longer."""
    respawn = Respawn()
    assert not respawn.is_due(0.0)
    respawn.at = 0.0
    assert respawn.is_due(0.0)
    for now in (0.0, 5.0, 10.0):
        respawn.put_off(now)
        assert respawn.at == now + FIRST_PAUSE_S
    assert not respawn.is_due(10.0)
    assert respawn.is_due(10.0 + FIRST_PAUSE_S)
    respawn.started(20.0)
    assert respawn.ended(20.0) == FIRST_PAUSE_S


@given(st.lists(st.floats(0.0, 2 * GOOD_LIFE_S), max_size=30))
def test_no_history_leaves_the_bounds(lives: list[float]) -> None:
    """For any lives the pause is between the first and the longest."""
    respawn, now = Respawn(), 0.0
    for life_s in lives:
        respawn.started(now)
        now += life_s
        pause_s = respawn.ended(now)
        assert FIRST_PAUSE_S <= pause_s <= LONGEST_PAUSE_S
        assert respawn.at == now + pause_s
        now = respawn.at
