"""What all tests share: those that need root or a CUDA device are skipped where there is none."""

import os

import pytest
from hypothesis import HealthCheck, settings

# Two workers with one thread each: torch's own pools would fight over two cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Of an example's 200 ms, and of how fast examples are made, a busy machine decides.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with the reason, what this machine cannot run; begin with what takes longest."""
    is_root = os.geteuid() == 0
    has_gpu = os.path.exists("/dev/nvidiactl")
    for item in items:
        if "root" in item.keywords and not is_root:
            item.add_marker(pytest.mark.skip(reason="needs root"))
        if "gpu" in item.keywords and not has_gpu:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
    # What mostly waits runs beside what computes, and never alone at the end.
    items.sort(key=lambda item: "slow" not in item.keywords)
