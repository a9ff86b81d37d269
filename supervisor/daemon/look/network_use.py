"""How many bytes processes have sent and received over TCP: no counter of /proc has them.

The kernel tells it for each socket (sock_diag(7)), to every user. An upload from a thread may use
next to no CPU time; without this it would look like a hang.
"""

import os
import socket
import struct
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

_SOCK_DIAG, _BY_FAMILY, _DONE, _ERROR = 4, 20, 3, 2
_REQUEST_DUMP = 0x301
_INFO = 2
_HEADER = struct.Struct("=IHHII")
_QUESTION = struct.Struct("=BBBBI48x")
# sock_diag's inet_diag_msg is 72 bytes, with the inode at its end; attributes follow.
_MESSAGE_BYTES, _INODE_AT = 72, 68
_ATTRIBUTE = struct.Struct("=HH")
# tcp_info: tcpi_bytes_acked and tcpi_bytes_received (Linux 4.1).
_BYTES_AT, _BYTES = 120, struct.Struct("=QQ")
# proc_net(5): columns of its lists, and the states closed and listening.
_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_STATE_FIELD, _INODE_FIELD = 3, 9
_UNCONNECTED = frozenset({"07", "0A"})
_ANSWER_S = 1.0
_LINKS_MAX = 8192


class NetworkUse(NamedTuple):
    """One look; `bytes` by process and socket. `problem`: why it tells nothing, None if it does."""

    bytes: dict[int, dict[int, int]]
    problem: str | None = None


def network_use(pids: Collection[int]) -> NetworkUse:
    """What these processes have sent and received so far, by socket. Never raises."""
    links = 0
    held: dict[int, set[int]] = {}
    for pid in pids:
        held[pid] = set(_sockets(pid))
        links += len(held[pid])
        if links > _LINKS_MAX:
            return NetworkUse({}, "the sockets are too many to be read")
    if not links:
        return NetworkUse({})
    try:
        known = _tcp_bytes()
    except OSError as error:
        if not _is_any_connected(set().union(*held.values())):
            return NetworkUse({})
        return NetworkUse({}, f"what is sent over the network cannot be read ({error.strerror})")
    return NetworkUse({pid: {s: known[s] for s in held[pid] & known.keys()} for pid in held})


def network_movement(uses: Sequence[NetworkUse], pids: Collection[int]) -> tuple[str, ...]:
    """What these processes sent or received between the looks, in words; empty for nothing."""
    moved = 0
    known = [use for use in uses if use.problem is None]
    for before, after in pairwise(known):
        for pid in pids:
            was, now = before.bytes.get(pid, {}), after.bytes.get(pid, {})
            moved += sum(max(now[one] - was.get(one, 0), 0) for one in now)
    return (f"{moved} bytes over the network",) if moved else ()


def network_problem(uses: Sequence[NetworkUse]) -> str | None:
    """Why it is not known whether anything was sent or received; None if it is."""
    return next((use.problem for use in uses if use.problem is not None), None)


def _is_any_connected(inodes: Collection[int]) -> bool:
    """Whether one of these sockets is a TCP connection; true where that cannot be read either.

    A sandbox that refuses sock_diag still has the lists of /proc. They count no bytes.
    """
    own = set(map(str, inodes))
    for path in _TABLES:
        try:
            lines = path.read_text().splitlines()[1:]
        except OSError:
            if path is _TABLES[0]:
                return True
            continue  # no IPv6
        for fields in map(str.split, lines):
            is_own = len(fields) > _INODE_FIELD and fields[_INODE_FIELD] in own
            if is_own and fields[_STATE_FIELD] not in _UNCONNECTED:
                return True
    return False


def _sockets(pid: int) -> Iterator[int]:
    with suppress(OSError):  # ended meanwhile, or not ours
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError, ValueError):
                kind, _, inode = str(link.readlink()).partition(":[")
                if kind == "socket":
                    yield int(inode.rstrip("]"))


def _tcp_bytes() -> dict[int, int]:
    """Bytes of each TCP socket of this network namespace, by inode. Raises OSError."""
    found: dict[int, int] = {}
    with socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _SOCK_DIAG
    ) as link:
        link.settimeout(_ANSWER_S)
        for family in (socket.AF_INET, socket.AF_INET6):
            question = _QUESTION.pack(family, socket.IPPROTO_TCP, 1 << (_INFO - 1), 0, 0xFFFFFFFF)
            length = _HEADER.size + len(question)
            link.send(_HEADER.pack(length, _BY_FAMILY, _REQUEST_DUMP, family, 0) + question)
            is_done = False
            while not is_done:
                is_done = _take(link.recv(1 << 16), found)
    return found


def _take(answer: bytes, found: dict[int, int]) -> bool:
    """Take in one datagram of the kernel's answer; true after the last. Raises OSError."""
    at = 0
    while at + _HEADER.size <= len(answer):
        length, kind, *_ = _HEADER.unpack_from(answer, at)
        if kind == _DONE or length < _HEADER.size:
            return True
        body = answer[at + _HEADER.size : at + length]
        if kind == _ERROR:
            number = -struct.unpack_from("=i", body)[0] if len(body) >= 4 else 0
            raise OSError(number, os.strerror(number))
        if kind == _BY_FAMILY and len(body) >= _MESSAGE_BYTES:
            inode = struct.unpack_from("=I", body, _INODE_AT)[0]
            info = _attribute(body[_MESSAGE_BYTES:])
            if len(info) >= _BYTES_AT + _BYTES.size:
                found[inode] = sum(_BYTES.unpack_from(info, _BYTES_AT))
        at += (length + 3) & ~3
    return False


def _attribute(body: bytes) -> bytes:
    """The attribute with TCP's own numbers; empty where there is none."""
    at = 0
    while at + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, at)
        if length < _ATTRIBUTE.size:
            return b""
        if kind == _INFO:
            return body[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3
    return b""
