"""How much the fuzz tests try: little by default, more with `CHECKPOINT_FUZZ`.

`CHECKPOINT_FUZZ=100 pytest tests/checkpoint/test_fuzz_*.py` tries a hundred times as much.
`CHECKPOINT_FUZZ_SEED` sets the first seed, and a failure names its seed.
"""

import os
from collections.abc import Iterator
from random import Random

from hypothesis import HealthCheck, settings

SCALE = int(os.environ.get("CHECKPOINT_FUZZ", "1"))
SEED = int(os.environ.get("CHECKPOINT_FUZZ_SEED", "0"))
TIME_LIMIT_S = 180 * SCALE


def seeds(count: int) -> Iterator[tuple[int, Random]]:
    """Yield `count` seeds, times the scale, each with its source of randomness."""
    for seed in range(SEED, SEED + count * SCALE):
        yield seed, Random(seed)


def examples(count: int) -> settings:
    """Settings for this many examples, times the scale; at scale 1 they are the same each time."""
    return settings(
        max_examples=count * SCALE,
        derandomize=SCALE == 1,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
