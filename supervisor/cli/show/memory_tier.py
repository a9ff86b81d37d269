"""The memory tier in words: the newest snapshot, and what the persister does with it."""

from supervisor.cli.record import RunRecord
from supervisor.cli.show.formatting import age_text, count_text, size_text
from supervisor.core.status import PersisterStatus, SnapshotStatus


def snapshot_text(record: RunRecord, snapshot: SnapshotStatus) -> str:
    """`step 5,120 in memory, 3s ago (1.3 GiB; 2.6 GiB of shared memory)`."""
    text = f"step {count_text(snapshot.step)} in memory"
    if snapshot.age_s is not None:
        text += f", {age_text(snapshot.age_s + ((record.age_s or 0.0) if record.live else 0.0))}"
    sizes = f"{size_text(snapshot.bytes)}; {size_text(snapshot.tmpfs_bytes)}"
    text += f" ({sizes} of shared memory)"
    if not record.live and _is_ahead(record, snapshot):
        text += "; not on the disk: `supervisor run` goes on from this step, a reboot loses it"
    return text


def persister_text(persister: PersisterStatus | None) -> str:
    """The step that is copied to the disk, how fast, the step that waits, and the last error."""
    if persister is None:
        return ""
    rate = persister.bytes_per_s
    speed = f"{size_text(rate)}/s" if rate is not None else ""
    match persister.state:
        case "persisting":
            text = f"step {count_text(persister.step)} to the disk"
            if persister.done is not None:
                text += f", {100 * persister.done:.0f} % done"
            if speed:
                text += f", at {speed}"
        case "vetting":
            text = "checks whether a snapshot's weights are finite"
        case "absent":
            text = "none; the launcher starts it again"
        case _:
            text = f"idle; it wrote the last snapshot at {speed}" if speed else "idle"
    if persister.pending is not None:
        text += f"; step {count_text(persister.pending)} waits"
    if persister.last_error:
        text += f"; the last save FAILED: {persister.last_error}; the next save tries again"
    return text


def _is_ahead(record: RunRecord, snapshot: SnapshotStatus) -> bool:
    """Whether the snapshot is newer than the newest checkpoint on the disk by the status."""
    checkpoint = record.status.checkpoint
    durable = None if checkpoint is None else checkpoint.step
    return snapshot.step is not None and (durable is None or snapshot.step > durable)
