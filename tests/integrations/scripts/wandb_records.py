"""Prints what W&B's offline runs below a folder hold, as JSON: `wandb_records.py FOLDER`.

A `.wandb` file is a log as LevelDB writes it, of protobuf messages that wandb itself can read.
"""

import json
import sys
from pathlib import Path

from wandb.proto import wandb_internal_pb2

FILE_HEADER, BLOCK, HEADER = 7, 32768, 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def messages(data: bytes):
    """The messages of a log. One that a kill has cut off is left out."""
    at, parts = FILE_HEADER, b""
    while at + HEADER <= len(data):
        if BLOCK - at % BLOCK < HEADER:
            at += BLOCK - at % BLOCK
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        part = data[at + HEADER : at + HEADER + length]
        if kind not in (FULL, FIRST, MIDDLE, LAST) or len(part) < length:
            return
        parts = part if kind in (FULL, FIRST) else parts + part
        at += HEADER + length
        if kind in (FULL, LAST):
            yield parts


def items(found) -> dict[str, object]:
    """The keys and values of a message that holds a list of them."""
    return {one.key or "/".join(one.nested_key): json.loads(one.value_json) for one in found}


def told(path: Path) -> dict[str, object]:
    """What one run was told: its id, summary, the steps of its history, the mark, its end.

    After a SIGKILL that is its id alone, if it was short: W&B writes a block of 32 KiB at a time.
    """
    name = path.stem.partition("-")[2]
    run = {"id": name, "summary": {}, "steps": [], "preempting": 0, "exit": None}
    for message in messages(path.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(message)
        match record.WhichOneof("record_type"):
            case "run":
                assert record.run.run_id == name
            case "summary":
                run["summary"] |= items(record.summary.update)
            case "history":
                run["steps"].append(items(record.history.item)["_step"])
            case "preempting":
                run["preempting"] += 1
            case "exit":
                run["exit"] = record.exit.exit_code
    return run


if __name__ == "__main__":
    files = Path(sys.argv[1]).rglob("offline-run-*/*.wandb")
    # The folder begins with the time of the run's beginning.
    print(json.dumps([told(path) for path in sorted(files, key=lambda path: path.parent.name)]))
