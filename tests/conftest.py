"""What all tests share: tests that need root or a CUDA device are skipped where it is missing."""

import os

import pytest
from hypothesis import HealthCheck, settings

# Two test workers have one thread each: torch's own pools would fight over two cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Hundreds of interpreters are started: each would compile what a container forbids to keep.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# On a busy machine an example may take longer than hypothesis's 200 ms, and so may making one.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with the reason, what this machine cannot run, and start slow tests first."""
    is_root = os.geteuid() == 0
    has_gpu = os.path.exists("/dev/nvidiactl")
    for item in items:
        if "root" in item.keywords and not is_root:
            item.add_marker(pytest.mark.skip(reason="needs root"))
        if "gpu" in item.keywords and not has_gpu:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
    # Slow tests mostly wait: started first, they run beside tests that compute, not alone at the
    # end.
    items.sort(key=lambda item: "slow" not in item.keywords)
