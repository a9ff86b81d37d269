"""How much time saves and failures take at several intervals, in simulated trainings.

Failures come at random; the interval that is found by itself uses the code of the Checkpointer, and
knows only the failures that it has seen. The fixed ones are multiples of what is best if the true
rate of failures is known. The same failures hit each of them.
"""

import argparse
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.report import OURS, Report, Row
from supervisor.core.last_training import LastTraining
from supervisor.core.rules.save_interval import DAY_S, LEAST_S, best_interval_s
from supervisor.core.save_terms import SaveTerms
from supervisor.torch.save_pace import SavePace

FACTORS = (0.1, 0.5, 1.0, 2.0, 10.0)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A training: how long a save holds it up, how often it fails, how long it takes to go on."""

    save_s: float
    mttf_s: float
    recovery_s: float = 60.0
    trained_s: float = 14 * DAY_S

    @property
    def name(self) -> str:
        """For the table."""
        return f"save {self.save_s:g} s, a failure each {self.mttf_s / 3600:g} h"

    @property
    def best_s(self) -> float:
        """The interval that loses least if the rate of failures is known."""
        return best_interval_s(self.save_s, self.mttf_s, self.recovery_s)


SCENARIOS = tuple(
    Scenario(save_s, hours * 3600.0) for save_s in (0.1, 2.0, 30.0) for hours in (4.0, 24.0, 168.0)
)


class FoundByItself:
    """The Checkpointer's own pace, over the attempts of a run."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._failures = 0
        self._trained_s = 0.0
        self._pace = SavePace("auto", SaveTerms(recovery_s=scenario.recovery_s))
        self._pace.is_due(0, 0.0)
        self._now = 0.0

    def interval_s(self) -> float:
        """From now to the begin of the next save."""
        return self._pace.interval_s

    def saved(self, took_s: float) -> None:
        """A save was made after the interval."""
        began = self._now + self._pace.interval_s
        self._now = began + took_s
        self._pace.taken(began, self._now, took_s)

    def failed(self, attempt_s: float) -> None:
        """The attempt ended after so long: the next one is told what is known."""
        self._failures += 1
        self._trained_s += attempt_s
        last = LastTraining(attempt_s, has_saved=self._now > 0)
        terms = SaveTerms(
            failures=self._failures,
            trained_s=self._trained_s,
            recovery_s=self._scenario.recovery_s,
            save_s=self._scenario.save_s,
            interval_s=last.first_interval_s(self._pace.interval_s, LEAST_S),
        )
        self._pace, self._now = SavePace("auto", terms), 0.0
        self._pace.is_due(0, 0.0)


class Fixed:
    """One interval for the whole run."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s

    def interval_s(self) -> float:
        """Always the same."""
        return self._interval_s

    def saved(self, took_s: float) -> None:
        """Nothing is learned."""

    def failed(self, attempt_s: float) -> None:
        """Nothing is learned."""


def lost_share(scenario: Scenario, policy: Fixed | FoundByItself, seed: int) -> float:
    """The share of the whole time that did not become training that lasted."""
    chance = random.Random(seed)
    kept_s = spent_s = 0.0
    while kept_s < scenario.trained_s:
        life_s, ran_s, lasting_s = chance.expovariate(1 / scenario.mttf_s), 0.0, 0.0
        while True:
            interval_s = policy.interval_s()
            left_s = scenario.trained_s - kept_s - lasting_s
            if left_s <= interval_s and ran_s + left_s <= life_s:
                return 1 - scenario.trained_s / (spent_s + ran_s + left_s)
            # A save that is cut off by the failure counts for nothing.
            if ran_s + interval_s + scenario.save_s > life_s:
                break
            ran_s += interval_s + scenario.save_s
            lasting_s += interval_s
            policy.saved(scenario.save_s)
        kept_s += lasting_s
        spent_s += life_s + scenario.recovery_s
        policy.failed(life_s)
    return 1 - scenario.trained_s / spent_s


def _named(factor: float) -> str:
    return f"{factor:g} × best"


def simulate(scenario: Scenario, seeds: Sequence[int]) -> Mapping[str, float]:
    """The median of the lost share, in per cent, of each policy over the same failures."""
    shares = {OURS: [lost_share(scenario, FoundByItself(scenario), seed) for seed in seeds]}
    for factor in FACTORS:
        interval_s = factor * scenario.best_s
        shares[_named(factor)] = [lost_share(scenario, Fixed(interval_s), seed) for seed in seeds]
    return {name: 100 * median(found) for name, found in shares.items()}


def run(arguments: argparse.Namespace) -> Report:
    """All scenarios."""
    seeds = range(arguments.seed, arguments.seed + arguments.runs)
    rows = []
    for scenario in SCENARIOS:
        rows.append(Row(scenario.name, "% lost", simulate(scenario, seeds)))
    return Report(
        title="Time that saves and failures take",
        subjects={
            OURS: "checkpoints: {interval: auto}",
            **{_named(factor): "a fixed interval" for factor in FACTORS},
        },
        rows=rows,
        notes=(
            f"simulated: {arguments.runs} runs of {SCENARIOS[0].trained_s / DAY_S:g} days of"
            " training each, medians; a recovery takes 60 s",
        ),
        shows_ratios=False,
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="benchmarks.save_interval", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--runs", type=int, default=25, help="simulated runs of each scenario")
    parser.add_argument("--seed", type=int, default=1, help="of the random failures")
    arguments = parser.parse_args()
    report = run(arguments)
    if arguments.json:
        print(report.as_json())
    else:
        report.show()


if __name__ == "__main__":
    main()
