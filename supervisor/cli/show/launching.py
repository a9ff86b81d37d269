"""How the last attempt was started, and how the next will be, for a person."""

from supervisor.cli.show.formatting import size_text
from supervisor.core.status import LaunchStatus, ParkedStatus

_NAMED = 3


def launch_text(launch: LaunchStatus | None) -> str:
    """`warm; the next interpreter is parked: torch and 2 more, 214 MiB`; "" where none is known."""
    if launch is None or not launch.last:
        return ""
    parked = launch.parked
    why = launch.cold_reason if launch.last == "cold" else None
    parts = [f"{launch.last} ({why})" if why else launch.last]
    match parked.state:
        case "waiting":
            parts.append(f"the next interpreter is parked{_held(parked)}")
        case "importing":
            parts.append("the next interpreter is being prepared")
        case _:
            if parked.reason not in (None, why):
                parts.append(f"the next start is cold: {parked.reason}")
    return "; ".join(parts)


def _held(parked: ParkedStatus) -> str:
    """What the parked interpreter holds: packages, memory, and a CUDA context if configured."""
    names = parked.preloaded or ()
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    parts = [", ".join(names[:_NAMED]) + more] if names else []
    if parked.rss_bytes is not None:
        parts.append(size_text(parked.rss_bytes))
    if parked.standby:
        parts.append(f"with a {parked.standby.upper()} context")
    return ": " + ", ".join(parts) if parts else ""
