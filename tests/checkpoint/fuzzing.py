"""How much is tried: a little in CI, as much as `CHECKPOINT_FUZZ` says elsewhere.

`CHECKPOINT_FUZZ=100 pytest tests/checkpoint/test_fuzz_*.py` tries a hundred times as much;
`CHECKPOINT_FUZZ_SEED` begins elsewhere, and a failure names its seed.
"""

import os
from collections.abc import Iterator
from random import Random

from hypothesis import HealthCheck, settings

SCALE = int(os.environ.get("CHECKPOINT_FUZZ", "1"))
SEED = int(os.environ.get("CHECKPOINT_FUZZ_SEED", "0"))
TIME_LIMIT_S = 180 * SCALE


def seeds(count: int) -> Iterator[tuple[int, Random]]:
    """So many seeds, and a source of randomness from each."""
    for seed in range(SEED, SEED + count * SCALE):
        yield seed, Random(seed)


def examples(count: int) -> settings:
    """As many examples of hypothesis, the same ones each time unless more are asked for."""
    return settings(
        max_examples=count * SCALE,
        derandomize=SCALE == 1,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
