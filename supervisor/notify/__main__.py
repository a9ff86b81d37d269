"""The child process that sends: an order as JSON on its standard input, a line for each target.

An order is `{"message": …, "targets": {number: address}, "deadline_s": …}`, or `{"ping": address,
"suffix": "/fail"}`. With `"check": true` addresses are only read. An answer is `{"target": number,
"error": null}`. No error has any part of an address in it.
"""

import json
import logging
import os
import sys
import threading
import time
from typing import Any

NOT_INSTALLED = "apprise is not installed: pip install 'train-supervisor[notify]'"
REFUSED = "the target refused it, or cannot be reached"
_RETRY_S = 3.0
# A message of a supervisor that ends is tried by nobody after this process.
_RETRIES_S = (3.0, 10.0)


def main() -> None:
    """Carry out one order; the process ends at the deadline, whatever a target does."""
    logging.disable()  # apprise logs addresses
    order = json.loads(sys.stdin.buffer.read())
    until = time.monotonic() + float(order.get("deadline_s", 30.0))
    if "ping" in order:
        work = [threading.Thread(target=_ping, args=(order, until), daemon=True)]
    else:
        work = [
            threading.Thread(target=_tell, args=(number, address, order), daemon=True)
            for number, address in order["targets"].items()
        ]
    for one in work:
        one.start()
    for one in work:
        one.join(max(until - time.monotonic(), 0.0))
    sys.stdout.flush()
    os._exit(0)  # a thread that waits for a target must not keep the process


def _tell(number: str, address: str, order: dict[str, Any]) -> None:
    for wait_s in (*_RETRIES_S, None):
        try:
            error = _send(address, order)
        except Exception as raised:  # any plugin of apprise may raise anything
            error = f"{type(raised).__name__} in apprise"
        if error != REFUSED or wait_s is None:
            break
        time.sleep(wait_s)
    _answer(int(number), error)


def _send(address: str, order: dict[str, Any]) -> str | None:
    """Send to one target; an error in words, or None."""
    if address.startswith("env:"):
        name = address.removeprefix("env:")
        found = os.environ.get(name)
        if not found:
            return f"the environment variable {name} is not set"
        address = found
    try:
        import apprise
    except ImportError:
        return NOT_INSTALLED
    sender = apprise.Apprise()
    if not sender.add(address):
        return "apprise does not know this kind of address, or a part of it is missing"
    if order.get("check"):
        return None
    message = order["message"]
    is_sent = sender.notify(
        body=message["body"],
        title=message["title"],
        notify_type=message["kind"],
        body_format=apprise.NotifyFormat.TEXT,
    )
    return None if is_sent else REFUSED


def _ping(order: dict[str, Any], until: float) -> None:
    """Ask for the address. Once more after a short while: such services count a missing ping."""
    address = order["ping"]
    if address.startswith("env:"):
        address = os.environ.get(address.removeprefix("env:"), "")
    said: str | None = "the address must begin with https:// or http://"
    for again in (True, False):
        if address.startswith(("https://", "http://")):
            said = _asked(address.rstrip("/") + order.get("suffix", ""), order, until)
        if said is None or not again:
            break
        time.sleep(_RETRY_S)
    _answer(0, said)


def _asked(address: str, order: dict[str, Any], until: float) -> str | None:
    """Ask once; an error in words, or None."""
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    body = (order.get("said") or "").encode() or None
    try:
        request = Request(address, data=body, headers={"User-Agent": "train-supervisor"})  # noqa: S310 -- the scheme is checked
        with urlopen(request, timeout=max(until - time.monotonic(), 1.0)):  # noqa: S310
            return None
    except HTTPError as error:
        return f"HTTP status {error.code}"
    except Exception as error:  # an address that is none raises ValueError, a library its own
        return type(error).__name__


def _answer(number: int, error: str | None) -> None:
    print(json.dumps({"target": number, "error": error}), flush=True)


if __name__ == "__main__":
    main()
