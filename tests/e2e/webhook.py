"""A web server that keeps what it is sent, and can be told not to answer."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Webhook:
    """What arrived: (path, JSON or text, time of CLOCK_MONOTONIC)."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.got: list[tuple[str, Any, float]] = []
        self.status = 200
        self.silent = threading.Event()
        self.refused = ""
        """A message with this text in it is answered with status 500."""
        self.refusals = 0
        self.answers_after_s = 0.0
        self.pings_take_s = 0.0

    @property
    def address(self) -> str:
        """As apprise writes it, with a secret in it."""
        return f"json://user:hunter2@127.0.0.1:{self.port}/secret-path"

    @property
    def titles(self) -> list[str]:
        """The titles of the messages."""
        return [body["title"] for _, body, _ in self.got if isinstance(body, dict)]

    @property
    def pings(self) -> list[str]:
        """The paths of the pings."""
        return [path for path, body, _ in self.got if not isinstance(body, dict)]


@contextmanager
def webhook() -> Iterator[Webhook]:
    """Serve on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            if hook.silent.is_set():
                while hook.silent.is_set():
                    time.sleep(0.05)
                return
            try:
                body = json.loads(data)
            except ValueError:
                body = data
            if not isinstance(body, dict):
                time.sleep(hook.pings_take_s)
            refused = hook.refused and hook.refused in data
            status = 500 if refused else hook.status
            hook.refusals += status != 200
            if status == 200:
                hook.got.append((self.path, body, time.monotonic()))
            if isinstance(body, dict):
                time.sleep(hook.answers_after_s)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST

        def log_message(self, *words: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hook = Webhook(server.server_port)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hook
    finally:
        hook.silent.clear()
        server.shutdown()
        server.server_close()
