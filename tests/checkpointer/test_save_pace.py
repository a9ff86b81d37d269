"""When the loop saves: by a number of steps, or by what saves cost and how often a run fails."""

import json
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

import pytest

from supervisor.core.json_form import to_json
from supervisor.core.rules.save_interval import NODE_MTTF_S, best_interval_s
from supervisor.core.save_terms import SAVE_TERMS, SaveTerms
from supervisor.torch.outcome import Saved
from supervisor.torch.save_pace import NEVER, SavePace, nodes_here, terms_given

GROWN = SaveTerms(save_s=30.0, interval_s=2000.0)
DAILY = SaveTerms(failures=100, trained_s=100 * 3600.0, recovery_s=30.0)


class Clock:
    """A loop whose steps and saves take as long as a test wants."""

    def __init__(self, pace: SavePace) -> None:
        self.pace, self.now, self.step = pace, 1000.0, 0
        self.saves: list[tuple[int, float]] = []

    def train(self, seconds: float, step_s: float, stall_s: float) -> list[float]:
        """Train so long; the times from one save to the next, of those that began in it."""
        until, first = self.now + seconds, max(len(self.saves) - 1, 0)
        while self.now < until:
            self.step += 1
            self.now += step_s
            if self.pace.is_due(self.step, self.now):
                self.saves.append((self.step, self.now))
                began, self.now = self.now, self.now + stall_s
                self.pace.taken(began, self.now, stall_s)
        return [after - before for (_, before), (_, after) in pairwise(self.saves[first:])]


def saved(seconds: float) -> Saved:
    """A save that the disk took."""
    return Saved("saved", 1, Path("c"), None, 1, seconds)


def test_a_number_counts_steps_and_0_saves_nothing() -> None:
    """As ever."""
    assert [step for step in range(1, 22) if SavePace(7).is_due(step, step)] == [7, 14, 21]
    assert not any(SavePace(0).is_due(step, step) for step in range(1, 22))


@pytest.mark.parametrize("wrong", ["often", -1, 2.5, True, None])
def test_nonsense_is_refused(wrong: object) -> None:
    """A value that is neither `auto` nor a number of steps is refused."""
    with pytest.raises(ValueError, match="save_steps"):
        SavePace(wrong)  # type: ignore[arg-type]


def test_the_first_save_comes_after_a_minute_and_the_interval_grows_to_the_best() -> None:
    """At most twice as long from one save to the next, until it is what the formula says."""
    clock = Clock(SavePace("auto", DAILY))
    between = clock.train(20 * 3600, 0.5, 2.0)
    assert clock.saves[0][1] - 1000.5 == pytest.approx(60, abs=0.5)
    assert all(after <= 2 * before + 1 for before, after in pairwise(between))
    best = best_interval_s(2.0, DAILY.mttf_s(19 * 3600), 30.0)
    assert between[0] == pytest.approx(120, abs=1)
    assert between[-1] == pytest.approx(best, rel=0.02)
    assert 60 < best < 4 * 3600


def test_an_unfailing_run_saves_every_four_hours_at_least() -> None:
    """The bounds hold, whatever a save costs: at least a minute, at most four hours."""
    clock = Clock(SavePace("auto"))
    assert best_interval_s(120.0, NODE_MTTF_S, 60.0) > 4 * 3600
    assert clock.train(3 * 86_400, 5.0, 120.0)[-1] == pytest.approx(4 * 3600, abs=5)
    clock = Clock(SavePace("auto"))
    assert min(clock.train(7200, 0.1, 1e-6)) >= 60 - 0.1


def test_own_bounds() -> None:
    """`interval_min` and `interval_max`."""
    clock = Clock(SavePace("auto", SaveTerms(min_s=5.0, max_s=20.0)))
    between = clock.train(600, 0.1, 0.5)
    assert clock.saves[0][1] - 1000.1 == pytest.approx(5, abs=0.1)
    assert between[-1] == pytest.approx(20, abs=0.2)


@pytest.mark.parametrize("at", range(1, 9))
def test_one_slow_save_changes_nothing(at: int) -> None:
    """A save that takes a hundred times as long, the first one too, is not the usual one."""
    clock, usual = Clock(SavePace("auto", DAILY)), Clock(SavePace("auto", DAILY))
    for number in range(12):
        for one, stall_s in ((clock, 50.0 if number == at else 0.5), (usual, 0.5)):
            one.pace.taken(one.now, one.now, stall_s)
    assert clock.pace.interval_s == usual.pace.interval_s


def test_saves_that_are_slow_every_second_time_do_not_shake_it() -> None:
    """The interval settles."""
    pace = SavePace("auto", DAILY)
    seen = []
    for number in range(40):
        pace.taken(0.0, 0.0, (0.1, 3.0)[number % 2])
        seen.append(pace.interval_s)
    assert max(seen[20:]) == min(seen[20:])


def test_saves_do_not_queue_for_a_slow_disk() -> None:
    """A save that the disk takes ten minutes for comes every forty at most."""
    pace = SavePace("auto", DAILY)
    for _ in range(12):
        pace.ended(saved(600.0), 0.0)
        pace.taken(0.0, 0.0, 0.001)
    assert pace.interval_s == 2400


def test_saves_that_are_waited_for_count_where_there_are_no_others() -> None:
    """A first save that was waited for is forgotten once one goes without; the seed is not kept."""
    waiting, mixed = SavePace("auto", DAILY), SavePace("auto", DAILY)
    for _ in range(12):
        waiting.taken(0.0, 0.0, 5.0, is_waited=True)
    best_s = best_interval_s(5.0, DAILY.mttf_s(), DAILY.recovery_s)
    assert waiting.interval_s == pytest.approx(best_s)
    mixed.taken(0.0, 0.0, 50.0, is_waited=True)
    mixed.taken(0.0, 0.0, 0.5)
    mixed.taken(0.0, 0.0, 50.0, is_waited=True)
    assert mixed.told(is_asked=True).save_s == 0.5
    seeded = SavePace("auto", SaveTerms(save_s=0.5, interval_s=60.0))
    for _ in range(4):
        seeded.taken(0.0, 0.0, 5.0, is_waited=True)
    assert seeded.told(is_asked=True).save_s == 5.0


def test_where_only_the_disk_is_known_it_counts() -> None:
    """A save at the end of an epoch took the disk ten minutes, and nothing else was timed."""
    pace = SavePace("auto", DAILY)
    pace.ended(saved(600.0), 0.0)
    assert pace.interval_s == 2400


def test_a_save_that_failed_makes_it_no_longer() -> None:
    """Growing comes from saves alone, each of which counts once."""
    pace = SavePace("auto", DAILY)
    pace.taken(0.0, 10.0, 10.0)
    pace.ended(saved(1.0), 11.0)
    assert pace.interval_s == 120
    for _ in range(5):
        pace.taken(0.0, 1.0, None)
        pace.ended(Saved("failed", 1, Path("c"), "full"), 1.0)
    assert pace.interval_s == 120


def test_after_a_save_that_failed_the_next_one_comes_soon() -> None:
    """Else a full disk for a moment would cost hours of training."""
    clock = Clock(SavePace("auto"))
    clock.train(10 * 3600, 0.5, 2.0)
    assert clock.pace.interval_s > 600
    began = clock.saves[-1][1]
    clock.now = began + 10
    clock.pace.ended(Saved("failed", 1, Path("c"), "full"), clock.now)
    clock.train(150, 0.5, 2.0)
    assert clock.saves[-1][1] - began == pytest.approx(130, abs=1)


def failing(pace: SavePace, times: int, failed_s: float, *, holds: bool) -> list[float]:
    """From the end of each failed save to the begin of the next; `holds`: training stood still."""
    now, waits = 0.0, []
    pace.is_due(0, now)
    while len(waits) < times:
        ended = now
        while not pace.is_due(0, now):
            now += 1.0
        waits.append(now - ended)
        pace.taken(now, now + failed_s if holds else now, None if holds else 2.0)
        now += failed_s
        pace.ended(Saved("failed", 1, Path("c"), "full"), now)
    return waits[1:]


def test_saves_that_fail_come_more_and_more_seldom() -> None:
    """Twice the shortest interval, then twice as long each time, never longer than the interval."""
    terms = SaveTerms(max_s=600.0, save_s=100.0, interval_s=600.0)
    pace = SavePace("auto", terms)
    assert failing(pace, 7, 1.0, holds=True) == pytest.approx([120, 240, 480, 600, 600, 600], abs=2)
    pace.ended(saved(1.0), 0.0)
    pace.ended(Saved("failed", 1, Path("c"), "full"), 0.0)
    assert failing(pace, 2, 1.0, holds=True) == pytest.approx([240], abs=2)


@pytest.mark.parametrize("holds", [True, False])
def test_a_save_that_fails_slowly_is_not_made_again_each_minute(*, holds: bool) -> None:
    """It holds training up for a fifth of the time at most; else the interval is long enough."""
    terms = SaveTerms(save_s=2.0, interval_s=3000.0)
    waits = failing(SavePace("auto", terms), 4, 500.0, holds=holds)
    assert waits == pytest.approx([2000.0] * 3, abs=2)
    first = failing(SavePace("auto"), 4, 300.0, holds=holds)
    assert min(first) >= (1200 if holds else 60) - 2
    assert max(first) <= 1202


def test_what_the_attempt_before_has_learned_counts_from_the_start() -> None:
    """The first save comes after the interval of before; only that save makes it longer."""
    terms = SaveTerms(failures=0, trained_s=86_400.0, save_s=2.0, interval_s=480.0)
    pace = SavePace(10, terms)
    best = best_interval_s(2.0, terms.mttf_s(), terms.recovery_s)
    assert pace.is_auto
    assert best > 960
    assert pace.interval_s == 480
    pace.taken(0.0, 0.0, 2.0)
    assert pace.interval_s == 960
    assert SavePace("auto", SaveTerms(save_s=2.0)).interval_s == 60


def test_more_machines_fail_more_often() -> None:
    """Each machine's failures count, where the run has not shown its own."""
    one, many = (SavePace("auto", SaveTerms(), nodes) for nodes in (1, 16))
    for pace in (one, many):
        for _ in range(12):
            pace.taken(0.0, 0.0, 1.0)
    assert one.interval_s == pytest.approx(4 * many.interval_s, rel=0.01)


@pytest.mark.parametrize(
    ("ranks", "here", "nodes"),
    [("16", "8", 2), ("17", "8", 3), ("8", "8", 1), ("", "", 1), ("8", "", 1), ("8", "0", 1)],
)
def test_machines_are_counted(
    ranks: str, here: str, nodes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As torchrun says."""
    monkeypatch.setenv("WORLD_SIZE", ranks)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", here)
    assert nodes_here() == nodes


def test_terms_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be read means the same with the usual bounds; nothing there: the loop's own."""
    monkeypatch.delenv(SAVE_TERMS, raising=False)
    assert terms_given() is None
    monkeypatch.setenv(SAVE_TERMS, json.dumps({**to_json(DAILY), "of_a_later_version": 1}))
    assert terms_given() == DAILY
    for torn in ("{", "[]", "null", "7", "[" * 100_000):
        monkeypatch.setenv(SAVE_TERMS, torn)
        assert terms_given() == SaveTerms()


@pytest.mark.parametrize("factor", [1.0, 0.2, 5.0])
def test_ranks_that_look_now_and_then_save_at_the_right_time(factor: float) -> None:
    """A rank that looks at `steps_ahead` is in time, though the steps become slower or faster."""
    pace = SavePace("auto", SaveTerms(min_s=100.0, max_s=100.0))
    now, look_at, looks, last, between = 0.0, 1, 0, 0.0, []
    for step in range(1, 20_001):
        now += 0.05 * (factor if step > 3_500 else 1.0)
        is_due = pace.is_due(step, now)
        if step < look_at:
            continue
        looks += 1
        look_at = step + pace.steps_ahead(step, is_due=is_due)
        if is_due:
            between.append(now - last)
            last = now
            pace.taken(now, now, 0.1)
    assert len(between) >= 2
    late = [one for one in between[1:] if not 100 - 0.3 <= one <= 100 + 0.6]
    # Only in the interval in which the steps became slower a save may come late.
    assert len(late) <= (factor > 1)
    assert all(100 < one < 100 + factor / 2 * 100 for one in late)
    assert looks < 16 * (len(between) + 1) + 20_000 / 100


def test_ranks_look_again_in_time_for_a_save_that_failed() -> None:
    """It comes again after twice the shortest interval, long before half of the usual one."""
    pace, last, now, look_at, due = SavePace("auto", GROWN), 0.0, 0.0, 1, []
    for step in range(1, 4000):
        now += 1.0
        is_due = pace.is_due(step, now)
        if step < look_at:
            continue
        look_at = step + pace.steps_ahead(step, is_due=is_due)
        if is_due:
            due.append(now - last)
            last = now
            pace.taken(now, now, None)
            pace.ended(Saved("failed", 1, Path("c"), "full"), now)
    assert due[1:4] == pytest.approx([120, 240, 480], abs=2)


def test_quick_first_steps_do_not_postpone_the_next_look() -> None:
    """Batches that are skipped take a moment each, and the steps after them minutes."""
    pace = SavePace("auto")
    for step in range(1, 1000):
        ahead = pace.steps_ahead(step, is_due=pace.is_due(step, step * 1e-5))
    assert 1 <= ahead <= 100


def test_looking_at_a_number_of_steps() -> None:
    """With a number, ranks look at the saves alone; with 0 never."""
    assert SavePace(7).steps_ahead(3, is_due=False) == 4
    assert SavePace(7).steps_ahead(7, is_due=True) == 7
    assert SavePace(0).steps_ahead(7, is_due=False) == NEVER


@pytest.mark.parametrize("absurd", [-1e6, -1.0, 0.0, 1e200, 1e299])
@pytest.mark.parametrize("name", [field.name for field in fields(SaveTerms)])
def test_terms_that_cannot_be_end_no_training(
    name: str, absurd: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever stands in the variable, the loop saves now and then, and not at each step."""
    number = int(absurd) if name == "failures" else absurd
    monkeypatch.setenv(SAVE_TERMS, json.dumps({"save_s": 2.0, "interval_s": 90.0, name: number}))
    clock = Clock(SavePace("auto", terms_given()))
    clock.train(7200, 1.0, 2.0)
    # A shortest interval of years is what was asked for.
    assert bool(clock.saves) is not (name == "min_s" and absurd > 1)
    assert len(clock.saves) < 130
    assert clock.pace.steps_ahead(clock.step, is_due=False) >= 1
    clock.pace.ended(Saved("failed", 1, Path("c"), "full"), clock.now)
    assert (clock.pace.told(is_asked=True).interval_s or 0.0) > 0
