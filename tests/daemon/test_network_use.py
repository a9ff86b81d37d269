"""Bytes over TCP, of real sockets: what a slow upload shows that no other counter has."""

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from supervisor.daemon.look import network_use as module
from supervisor.daemon.look.network_use import (
    NetworkUse,
    network_movement,
    network_problem,
    network_use,
)

FAMILIES = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


@pytest.mark.parametrize("family", FAMILIES)
def test_bytes_that_are_sent_and_received(family: socket.AddressFamily) -> None:
    """Each byte that the other end has acknowledged counts, and nothing moves without any."""
    try:
        server = socket.create_server((FAMILIES[family], 0), family=family)
    except OSError:
        pytest.skip("this machine has no such address")
    with server, socket.create_connection(server.getsockname()[:2]) as client:
        taker, _ = server.accept()
        with taker:
            here = os.getpid()
            before = network_use([here])
            assert before.problem is None
            assert network_movement([before, network_use([here])], [here]) == ()
            client.sendall(b"x" * 1000)
            assert len(taker.recv(1000)) == 1000
            (said,) = network_movement([before, network_use([here])], [here])
            assert said.endswith("bytes over the network")
            assert int(said.split()[0]) >= 1000
            assert network_movement([before, network_use([here])], [1]) == ()


def test_a_new_connection_is_movement() -> None:
    """A poll that connects anew each time leaves no socket that both looks see."""
    here = os.getpid()
    before = network_use([here])
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
        server.accept()[0] as taker,
    ):
        client.sendall(b"xyz")
        taker.recv(3)
        assert network_movement([before, network_use([here])], [here])


def test_a_process_without_sockets_or_that_is_gone() -> None:
    """Neither is a problem."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert network_use([process.pid]).problem is None
        process.kill()
    assert network_use([process.pid]) == NetworkUse({})


def test_what_cannot_be_read_is_no_movement_and_no_stillness() -> None:
    """What two other looks show still counts."""
    unread = NetworkUse({}, "what is sent over the network cannot be read (refused)")
    one, two = NetworkUse({7: {1: 10}}), NetworkUse({7: {1: 30}})
    assert network_movement([one, unread], [7]) == ()
    assert network_problem([one, unread]) == unread.problem
    assert network_movement([one, unread, two], [7]) == ("20 bytes over the network",)
    assert network_problem([one, two]) is None


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sandbox that has no sock_diag."""

    class Refusing(socket.socket):
        def __init__(self, family: int = -1, *args: Any, **kwargs: Any) -> None:
            if family == socket.AF_NETLINK:
                raise OSError(errno.EPROTONOSUPPORT, os.strerror(errno.EPROTONOSUPPORT))
            super().__init__(family, *args, **kwargs)

    monkeypatch.setattr(module.socket, "socket", Refusing)


LISTENS = """
import socket, sys
local = socket.socketpair()
server = socket.create_server((sys.argv[1], 0), family=int(sys.argv[2]))
print(server.getsockname()[1], flush=True)
sys.stdin.readline()
taken = server.accept()
print("taken", flush=True)
sys.stdin.readline()
"""


@pytest.mark.usefixtures("refused")
@pytest.mark.parametrize("family", FAMILIES)
def test_where_the_kernel_refuses_only_connections_are_a_problem(
    family: socket.AddressFamily,
) -> None:
    """A process with none sends nothing over TCP; a listening or a local socket is none."""
    with subprocess.Popen(
        [sys.executable, "-c", LISTENS, FAMILIES[family], str(int(family))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        port = child.stdout.readline()
        if not port:
            pytest.skip("this machine has no such address")
        assert network_use([child.pid]) == NetworkUse({})
        with socket.create_connection((FAMILIES[family], int(port))):
            child.stdin.write("\n")
            assert child.stdout.readline() == "taken\n"
            use = network_use([child.pid])
            assert use.bytes == {}
            assert use.problem is not None
            assert "not supported" in use.problem
            child.stdin.write("\n")


@pytest.mark.usefixtures("refused")
def test_where_the_lists_of_proc_cannot_be_read_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then any socket may be a connection."""
    monkeypatch.setattr(module, "_TABLES", (tmp_path / "tcp", tmp_path / "tcp6"))
    one, other = socket.socketpair()
    with one, other:
        assert network_use([os.getpid()]).problem is not None
