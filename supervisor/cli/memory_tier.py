"""The memory tier in words: the newest snapshot, and what the persister does with it."""

from typing import Any

from supervisor.cli.moments import age_text, count_text, size_text
from supervisor.cli.record import RunRecord


def snapshot_text(record: RunRecord, snapshot: dict[str, Any]) -> str:
    """`step 5,120 in memory, 3s ago (1.3 GiB; 2.6 GiB of shared memory)`."""
    text = f"step {count_text(snapshot.get('step'))} in memory"
    age = snapshot.get("age_s")
    if isinstance(age, (int, float)):
        text += f", {age_text(age + ((record.age_s or 0.0) if record.live else 0.0))}"
    sizes = f"{size_text(snapshot.get('bytes'))}; {size_text(snapshot.get('tmpfs_bytes'))}"
    text += f" ({sizes} of shared memory)"
    if not record.live and _is_ahead(record, snapshot):
        text += "; it is not on the disk: `supervisor run` goes on from it, a reboot loses it"
    return text


def persister_text(persister: Any) -> str:
    """What is on its way to the disk, how fast, what waits, and how the last one failed."""
    if not isinstance(persister, dict):
        return ""
    rate = persister.get("bytes_per_s")
    speed = f"{size_text(rate)}/s" if isinstance(rate, (int, float)) else ""
    match persister.get("state"):
        case "persisting":
            text = f"step {count_text(persister.get('step'))} to the disk"
            done = persister.get("done")
            if isinstance(done, (int, float)):
                text += f", {100 * done:.0f} % done"
            if speed:
                text += f", at {speed}"
        case "vetting":
            text = "looks whether a snapshot's weights are finite"
        case "absent":
            text = "none; it is started again"
        case _:
            text = f"idle, the last one at {speed}" if speed else "idle"
    if isinstance(persister.get("pending"), int):
        text += f"; step {count_text(persister['pending'])} waits"
    if persister.get("last_error"):
        text += f"; the last one FAILED: {persister['last_error']}; the next save tries again"
    return text


def _is_ahead(record: RunRecord, snapshot: dict[str, Any]) -> bool:
    """Whether a run that nobody keeps has more in memory than on the disk, as far as is known."""
    checkpoint = (record.status or {}).get("checkpoint")
    durable = checkpoint.get("step") if isinstance(checkpoint, dict) else None
    step = snapshot.get("step")
    return isinstance(step, int) and (not isinstance(durable, int) or step > durable)
