"""How often to save, as `status` and the end of a run say it."""

from supervisor.core.save_interval_status import SaveIntervalStatus
from supervisor.core.wording import counted, rough_time

WORTH_S = 600.0
"""What a shorter training shows of its saves says little of the next one."""


def save_interval_text(saves: SaveIntervalStatus | None) -> str:
    """`every 20 min; the least is lost by every 12 min (1,400 steps): …`; empty if not known."""
    if saves is None or saves.best_s is None or saves.save_s is None:
        return ""
    best = f"every {rough_time(saves.best_s)}"
    if saves.best_steps is not None:
        best += f" ({saves.best_steps:,} step{'' if saves.best_steps == 1 else 's'})"
    present = ""
    if saves.present_s is not None:
        chosen = " (interval: auto)" if saves.auto else ""
        present = f"every {rough_time(saves.present_s)}{chosen}; "
    return f"{present}the least is lost by {best}: {_basis(saves, saves.save_s)}"


def _basis(saves: SaveIntervalStatus, save_s: float) -> str:
    cost = f"{save_s:.2g} s" if save_s < 10 else rough_time(save_s)
    facts = [f"a save takes {cost}", counted(saves.failures, "failure")]
    if saves.mttf_s is not None:
        facts[1] += f" so far, one in {rough_time(saves.mttf_s)} expected"
    if saves.recovery_s is not None:
        facts.append(f"a recovery takes {rough_time(saves.recovery_s)}")
    return ", ".join(facts)
