"""How the last attempt was started and what there is for the next, for a person."""

from typing import Any

from supervisor.cli.moments import size_text

_NAMED = 3


def launch_text(launch: Any) -> str:
    """`warm; the next one is parked: torch, numpy and 2 more, 214 MiB`; "" where none is known."""
    if not isinstance(launch, dict) or not launch.get("last"):
        return ""
    parked = launch.get("parked")
    if not isinstance(parked, dict):
        parked = {}
    why = launch.get("cold_reason") if launch["last"] == "cold" else None
    parts = [f"{launch['last']} ({why})" if why else str(launch["last"])]
    match parked.get("state"):
        case "waiting":
            parts.append(f"the next one is parked{_held(parked)}")
        case "importing":
            parts.append("the next one is being prepared")
        case _:
            if parked.get("reason") not in (None, why):
                parts.append(f"the next one cold: {parked['reason']}")
    return "; ".join(parts)


def _held(parked: dict[str, Any]) -> str:
    """What it holds: packages, memory, and a CUDA context if it was asked for."""
    names = [str(name) for name in parked.get("preloaded") or ()]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    parts = [", ".join(names[:_NAMED]) + more] if names else []
    if isinstance(parked.get("rss_bytes"), int):
        parts.append(size_text(parked["rss_bytes"]))
    if parked.get("standby"):
        parts.append(f"with a {str(parked['standby']).upper()} context")
    return ": " + ", ".join(parts) if parts else ""
