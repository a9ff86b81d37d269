"""Bytes over TCP, of real sockets: what a slow upload shows that no other counter has."""

import os
import socket
import subprocess
import sys

import pytest

from supervisor.daemon.look.network_use import NetworkUse, network_movement, network_use

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


def test_what_cannot_be_read_counts_as_movement() -> None:
    """A guess here would end somebody's training."""
    unread = NetworkUse({}, "what is sent over the network cannot be read (refused)")
    assert network_movement([NetworkUse({}), unread], [7]) == (unread.problem,)
