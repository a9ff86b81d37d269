"""Relays between launcher and daemon, and turns each message into another version's.

`python tampering.py VERSION {socket_fd} COMMAND…`, as golden/relay.py. `later`: each message has
more keys, the hello has a higher number, and messages of unknown kinds are added. `earlier`: the
hello has no number, and null, false and empty values are left out.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "golden"))

import relay

NEWS = {"wherefore": {"because": [1, None, "x"]}, "event": 3.5, "": []}


class Later:
    """The messages of a much later version."""

    def said(self, line: bytes) -> list[bytes]:
        """The lines that replace one line."""
        told = self.with_news(json.loads(line))
        if "protocol" in told:
            told["protocol"] = 99
        key = "do" if "do" in told else "is"
        lines = [told, {key: "dance", "attempt": 1, **NEWS}, {key: 7}]
        return [json.dumps(one).encode() for one in lines]

    def with_news(self, told: Any) -> Any:
        """A message, or a part of one, with unknown keys."""
        if isinstance(told, list):
            return [self.with_news(one) for one in told]
        if not isinstance(told, dict):
            return told
        inner = {key: self.with_news(one) if key != "env" else one for key, one in told.items()}
        return {**inner, **NEWS}


class Earlier:
    """The messages of a much earlier version."""

    def said(self, line: bytes) -> list[bytes]:
        """The lines that replace one line."""
        told = {
            key: one
            for key, one in json.loads(line).items()
            if key != "protocol" and one is not None and one is not False and one not in ([], "")
        }
        return [json.dumps(told).encode()]


def main() -> None:
    """Begin to carry, and become the daemon."""
    version, *words = sys.argv[1:]
    sys.argv[1:] = [os.devnull, *words]
    relay.main(Later().said if version == "later" else Earlier().said)


main()
