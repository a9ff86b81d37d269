"""NVIDIA's Xid numbers in the kernel log, and what each asks for; it must not read that log.

Source: NVIDIA's Xid catalogue ("immediate action"), docs.nvidia.com/deploy/xid-errors.
"""

import re
from typing import NamedTuple

from supervisor.core.vocabulary import Action, Failure


class XidMeaning(NamedTuple):
    """What one Xid says."""

    failure: Failure
    action: Action


_RESTART = XidMeaning(Failure.CUDA_FAULT, Action.RESTART)
_RESET = XidMeaning(Failure.GPU_NEEDS_RESET, Action.EXCLUDE)
_REBOOT = XidMeaning(Failure.GPU_LOST, Action.EXCLUDE)
_NVLINK = XidMeaning(Failure.NVLINK, Action.EXCLUDE)

RESTART_NUMBERS = frozenset(
    {8, 11, 13, 25, 31, 32, 60, 80, 94, 139}
    | set(range(39, 42))
    | set(range(68, 73))
    | set(range(75, 78))
    | set(range(82, 87))
    | set(range(88, 90))
    | set(range(96, 106))
    | set(range(126, 136))
)
RESET_NUMBERS = frozenset({46, 62, 64, 95, 109, 110, 119, 120, 136, 140, 143, 155, 156, 158})
REBOOT_NUMBERS = frozenset({79})
NVLINK_NUMBERS = frozenset({74} | set(range(144, 151)))
IGNORED_NUMBERS = frozenset(
    {37, 38, 43, 44, 63, 66, 67, 92, 93, 106, 107, 121, 137, 141, 152, 153, 157, 160, 161}
)
FOLLOWS_ANOTHER = 45
RECOVERY_ACTION = 154

MEANINGS: dict[int, XidMeaning] = {
    **dict.fromkeys(RESTART_NUMBERS, _RESTART),
    **dict.fromkeys(RESET_NUMBERS, _RESET),
    **dict.fromkeys(REBOOT_NUMBERS, _REBOOT),
    **dict.fromkeys(NVLINK_NUMBERS, _NVLINK),
    # Both are memory errors. The contained one (94) leaves the device usable, the double-bit one
    # (48) does not.
    48: XidMeaning(Failure.GPU_ECC, Action.EXCLUDE),
    94: XidMeaning(Failure.GPU_ECC, Action.RESTART),
}

_XID = re.compile(r"NVRM: Xid \([^)]{1,60}\): (\d{1,4})(?!\d)(.*)", re.IGNORECASE)
_NAMED = re.compile(r"\bXid:? (\d{1,4})\b", re.IGNORECASE)
_RECOVERY = re.compile(r"\bto (0x[0-9a-f]+) \(([^)]{1,60})\)", re.IGNORECASE)


def read_xid(line: str) -> XidMeaning | None:
    """What a kernel line with an Xid means; None without an Xid, or where it asks for nothing."""
    found = _XID.search(line)
    if found is None:
        return None
    number, text = int(found[1]), found[2]
    if number == FOLLOWS_ANOTHER:
        named = _NAMED.search(text)
        return MEANINGS.get(int(named[1])) if named else None
    if number == RECOVERY_ACTION:
        return _recovery(text)
    return MEANINGS.get(number)


def _recovery(text: str) -> XidMeaning | None:
    found = _RECOVERY.search(text)
    # nvmlDeviceGpuRecoveryAction_t: 0 none, 1 reset, 2 node reboot, 3 drain P2P, 4 drain and reset.
    match int(found[1], 16) if found else 0:
        case 1 | 4:
            return _RESET
        case 2:
            return _REBOOT
        case 3:
            return _NVLINK
        case _:
            return None
