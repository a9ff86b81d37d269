"""The single receivers behind an address: each is sent to by itself, so none is told twice.

apprise says of an address with several receivers only that not all took a message. Only the child
process that sends imports this.
"""

import copy
from dataclasses import dataclass
from typing import Any

# apprise gives up after 4 s. A target that answers later has taken the message all the same, and
# would be sent it again.
ANSWER_S = "20"


@dataclass(frozen=True, slots=True)
class Receiver:
    """One plugin of apprise, with the receivers that it cannot be parted into."""

    plugin: Any

    @property
    def is_single(self) -> bool:
        """Whether a refusal means that nobody took the message."""
        return len(self.plugin) <= 1

    @property
    def patience_s(self) -> float:
        """A refusal that took so long may be of a target that took the message and was slow."""
        return float(self.plugin.socket_read_timeout)


def receivers(address: str) -> list[Receiver] | None:
    """Who is behind an address, in the same order each time; None if apprise cannot tell."""
    import apprise.plugins
    import apprise.utils.parse

    # Through `Any`: these two have no types.
    library: Any = apprise
    found: list[Receiver] = []
    for url in library.utils.parse.parse_urls(address):
        parts = library.plugins.url_to_dict(url)
        whole = None if parts is None else _plugin(parts)
        if parts is None or whole is None:
            return None
        found += [Receiver(one) for one in _parted(parts, whole)]
    return found or None


def _parted(parts: dict[str, Any], whole: Any) -> list[Any]:
    targets = parts.get("targets")
    if len(whole) < 2 or not isinstance(targets, (list, tuple)):
        return [whole]
    # A query such as `to=a,b` is one item.
    items = targets if len(targets) > 1 else str(targets[0]).split(",") if targets else []
    single = [_plugin({**parts, "targets": [item]}) for item in items]
    is_parted = all(one is not None and len(one) == 1 for one in single)
    return single if is_parted and len(single) == len(whole) else [whole]


def _plugin(parts: dict[str, Any]) -> Any:
    import apprise

    known: dict[str, Any] = copy.deepcopy(parts)
    known["rto"] = known.get("rto") or ANSWER_S
    return apprise.Apprise.instantiate(known)


def text(said: str) -> str:
    """A text that can be sent: a path may hold bytes that are no UTF-8."""
    return said.encode(errors="backslashreplace").decode()


def with_suffix(address: str, suffix: str) -> str:
    """An address with `suffix` behind its path; a query stays behind that. Raises ValueError."""
    from urllib.parse import urlsplit, urlunsplit

    parts = urlsplit(address)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + suffix))
