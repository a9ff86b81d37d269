"""The table of Xid numbers against the project's vocabulary."""

import pytest

from supervisor.core.vocabulary import Action, Failure
from supervisor.diagnosis.xid import read_xid

pytestmark = pytest.mark.timeout(30)


def meaning(number: int, text: str = "pid=4, name=python") -> tuple[Failure, Action] | None:
    """The meaning of a kernel line with this number."""
    found = read_xid(f"[123.4] NVRM: Xid (PCI:0000:1b:00): {number}, {text}")
    return None if found is None else (found.failure, found.action)


@pytest.mark.parametrize("number", [8, 11, 13, 25, 31, 32, 40, 70, 76, 82, 88, 100, 130, 139])
def test_faults_of_the_application_restart_it(number: int) -> None:
    """These numbers ask for a restart of the application."""
    assert meaning(number) == (Failure.CUDA_FAULT, Action.RESTART)


@pytest.mark.parametrize(
    "number", [46, 62, 64, 95, 109, 110, 119, 120, 136, 140, 143, 155, 156, 158]
)
def test_these_need_a_reset(number: int) -> None:
    """These numbers ask for a reset of the device."""
    assert meaning(number) == (Failure.GPU_NEEDS_RESET, Action.EXCLUDE)


def test_lost_and_links() -> None:
    """79 needs a reboot; 74 and 144 to 150 are NVLink; 48 and 94 are memory errors."""
    assert meaning(79) == (Failure.GPU_LOST, Action.EXCLUDE)
    assert {meaning(n) for n in (74, *range(144, 151))} == {(Failure.NVLINK, Action.EXCLUDE)}
    assert meaning(48) == (Failure.GPU_ECC, Action.EXCLUDE)
    assert meaning(94) == (Failure.GPU_ECC, Action.RESTART)


@pytest.mark.parametrize("number", [37, 38, 43, 44, 63, 66, 92, 107, 121, 137, 153, 161, 999, 790])
def test_these_are_ignored(number: int) -> None:
    """These numbers ask for no action, and unknown numbers mean nothing."""
    assert meaning(number) is None


def test_45_follows_the_one_it_names() -> None:
    """Alone, Xid 45 is only a consequence; beside another number that number counts."""
    assert meaning(45, "pid=1, Ch 00000010") is None
    assert meaning(45, "pid=1, due to Xid 79") == (Failure.GPU_LOST, Action.EXCLUDE)


@pytest.mark.parametrize(
    ("to", "failure"),
    [
        ("0x0 (None)", None),
        ("0x1 (GPU Reset)", Failure.GPU_NEEDS_RESET),
        ("0x2 (Node Reboot)", Failure.GPU_LOST),
        ("0x3 (Drain P2P)", Failure.NVLINK),
        ("0x4 (Drain and Reset)", Failure.GPU_NEEDS_RESET),
    ],
)
def test_154_states_the_action(to: str, failure: Failure | None) -> None:
    """Xid 154 states the action that the driver needs."""
    found = meaning(154, f"GPU recovery action changed from 0x0 (None) to {to}")
    assert (found[0] if found else None) is failure
