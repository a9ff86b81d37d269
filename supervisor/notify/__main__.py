"""The child process that sends: an order as JSON on its standard input, a line for each target.

An order is `{"message": …, "targets": {number: address}, "deadline_s": …}`, or `{"ping": address,
"suffix": "/fail"}`. With `"check": true` addresses are only read, with `"retries": true` a refusal
is not the end. An answer is `{"target": number, "error": null, "is_unsure": false}`, and before it
one with `"part": number` for each receiver of that address that took the message; `"taken"` in an
order leaves these out. No error has any part of an address in it.
"""

import json
import logging
import os
import sys
import threading
import time
from contextlib import suppress
from typing import Any

from supervisor.notify.addresses import Receiver, receivers, text, with_suffix

NOT_INSTALLED = "apprise is not installed: pip install 'train-supervisor[notify]'"
REFUSED = "the target refused it, or cannot be reached"
UNKNOWN = "apprise does not know this kind of address, or a part of it is missing"
_RETRY_S = 3.0
# A message of a supervisor that ends is tried by nobody after this process.
_RETRIES_S = (3.0, 10.0)
_PRINTING = threading.Lock()


def main() -> None:
    """Carry out one order; the process ends at the deadline, whatever a target does."""
    logging.disable()  # apprise logs addresses
    order = json.loads(sys.stdin.buffer.read())
    until = time.monotonic() + float(order.get("deadline_s", 30.0))
    if "ping" in order:
        work = [threading.Thread(target=_ping, args=(order, until), daemon=True)]
    else:
        work = [
            threading.Thread(target=_tell, args=(int(number), address, order), daemon=True)
            for number, address in order["targets"].items()
        ]
    for one in work:
        one.start()
    for one in work:
        one.join(max(until - time.monotonic(), 0.0))
    os._exit(0)  # a thread that waits for a target must not keep the process


def _tell(number: int, address: str, order: dict[str, Any]) -> None:
    try:
        found = _receivers(address)
    except Exception as raised:  # any plugin of apprise may raise anything
        found = f"{type(raised).__name__} in apprise"
    if isinstance(found, str) or order.get("check"):
        _answer(number, found if isinstance(found, str) else None)
        return
    taken = set(order.get("taken", {}).get(str(number), ()))
    results: list[tuple[str | None, bool]] = []

    def send(part: int, receiver: Receiver) -> None:
        error, is_unsure = _sent(receiver, order)
        if error is None:
            _record(number, order)
            _answer(number, None, part=part)
        results.append((error, is_unsure))

    threads = [
        threading.Thread(target=send, args=one, daemon=True)
        for one in enumerate(found)
        if one[0] not in taken
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results += [(REFUSED, True)] * (len(threads) - len(results))  # a thread died of a bug
    failed = [(error, is_unsure) for error, is_unsure in results if error is not None]
    error = failed[0][0] if failed else None
    _answer(number, error, is_unsure=any(is_unsure for _, is_unsure in failed))


def _receivers(address: str) -> list[Receiver] | str:
    """Who is behind an address, or an error in words."""
    if address.startswith("env:"):
        name = address.removeprefix("env:")
        found = os.environ.get(name)
        if not found:
            return f"the environment variable {name} is not set"
        address = found
    try:
        import apprise  # noqa: F401 -- it is an extra
    except ImportError:
        return NOT_INSTALLED
    return receivers(address) or UNKNOWN


def _sent(receiver: Receiver, order: dict[str, Any]) -> tuple[str | None, bool]:
    """Send to one receiver; an error in words or None, and whether it may have taken it anyway."""
    error: str | None = None
    # Only at the supervisor's end: else the daemon starts the next child when it is time.
    for wait_s in (*(_RETRIES_S if order.get("retries") else ()), None):
        began = time.monotonic()
        try:
            error = _send(receiver, order["message"])
        except Exception as raised:  # any plugin of apprise may raise anything
            error = f"{type(raised).__name__} in apprise"
        is_slow = time.monotonic() - began >= receiver.patience_s
        is_unsure = error is not None and (is_slow or not receiver.is_single)
        if error != REFUSED or is_unsure or wait_s is None:
            return error, is_unsure
        time.sleep(wait_s)
    return error, False


def _send(receiver: Receiver, message: dict[str, str]) -> str | None:
    """Send once; an error in words, or None."""
    import apprise

    sender = apprise.Apprise()
    sender.add(receiver.plugin)
    is_sent = sender.notify(
        body=text(message["body"]),
        title=text(message["title"]),
        notify_type=message["kind"],
        body_format=apprise.NotifyFormat.TEXT,
    )
    return None if is_sent else REFUSED


def _record(number: int, order: dict[str, Any]) -> None:
    """Note for the next daemon that a target took it: this one's may be dead by now."""
    path = order.get("record")
    if path is None:
        return
    line = json.dumps({"told": order["told"], "target": number}) + "\n"
    with suppress(OSError), open(path, "ab", buffering=0) as file:
        file.write(line.encode())


def _ping(order: dict[str, Any], until: float) -> None:
    """Ask for the address. Once more after a short while: such services count a missing ping."""
    address = order["ping"]
    if address.startswith("env:"):
        address = os.environ.get(address.removeprefix("env:"), "")
    said: str | None = "the address must begin with https:// or http://"
    for again in (True, False):
        if address.startswith(("https://", "http://")):
            said = _asked(address, order, until)
        if said is None or not again:
            break
        time.sleep(_RETRY_S)
    _answer(0, said)


def _asked(address: str, order: dict[str, Any], until: float) -> str | None:
    """Ask once; an error in words, or None."""
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    try:
        address = with_suffix(address, order.get("suffix", ""))
        body = text(order.get("said") or "").encode() or None
        request = Request(address, data=body, headers={"User-Agent": "train-supervisor"})  # noqa: S310 -- the scheme is checked
        with urlopen(request, timeout=max(until - time.monotonic(), 1.0)):  # noqa: S310
            return None
    except HTTPError as error:
        return f"HTTP status {error.code}"
    except Exception as error:  # an address that is none raises ValueError, a library its own
        return type(error).__name__


def _answer(number: int, error: str | None, **more: object) -> None:
    line = json.dumps({"target": number, "error": error, **more}) + "\n"
    with _PRINTING, suppress(OSError):  # the daemon that asked may be dead
        sys.stdout.write(line)
        sys.stdout.flush()


if __name__ == "__main__":
    main()
