"""A socket in systemd's place."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest


class Listener:
    """Receives what systemd would receive."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.setblocking(False)

    def heard(self) -> list[str]:
        """All datagrams since the last call; closes their descriptors, as systemd does."""
        found = []
        while True:
            try:
                data, descriptors, _, _ = socket.recv_fds(self.socket, 4096, 4)
            except BlockingIOError:
                return found
            for descriptor in descriptors:
                os.close(descriptor)
            found.append(data.decode())


@pytest.fixture
def listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    """A listener that NOTIFY_SOCKET names, with a watchdog of 9 s."""
    listener = Listener(str(tmp_path / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "9000000")
    yield listener
    listener.socket.close()
