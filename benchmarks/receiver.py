"""A web server of this machine that takes messages and pings, or never answers them."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver:
    """Where it listens, and when each message and each ping arrived (CLOCK_MONOTONIC, ns)."""

    def __init__(self, port: int) -> None:
        self.message_address = f"json://127.0.0.1:{port}/message"
        self.ping_address = f"http://127.0.0.1:{port}/ping"
        self.messages: list[int] = []
        self.pings: list[int] = []


@contextmanager
def receiver(*, answers: bool) -> Iterator[Receiver]:
    """Listen on a free port. Without answers, requests are read and their connections stay open."""
    gone = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            at = time.monotonic_ns()
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            (found.messages if self.path == "/message" else found.pings).append(at)
            if not answers:
                gone.wait()
                return
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found = Receiver(server.server_port)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield found
    finally:
        gone.set()
        server.shutdown()
        server.server_close()
