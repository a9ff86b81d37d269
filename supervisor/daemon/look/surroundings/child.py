"""The process that takes an attempt's record, and compares it; it may hang where a disk does.

Standard input has the question, standard output the answer, both as JSON. Started by path and
without `site`: it imports the standard library and a few modules of ours.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    # The package may not be installed for a Python without `site`.
    sys.path.append(str(Path(__file__).resolve().parents[4]))

from supervisor.daemon.look.surroundings.comparing import bounded, changes
from supervisor.daemon.look.surroundings.interpreter import (
    of_command,
    of_process,
    training_process,
)
from supervisor.daemon.look.surroundings.machine import driver_version, node_and_kernel
from supervisor.daemon.look.surroundings.packages import installed
from supervisor.daemon.look.surroundings.program import commit_of, files_of
from supervisor.daemon.look.surroundings.record import SurroundingsRecord, from_json, to_json
from supervisor.daemon.look.surroundings.variables import chosen, masked
from supervisor.system import procfs
from supervisor.system.durable import make_durably, write_durably
from supervisor.system.small_file import read_small_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any


def take(
    attempt: int,
    command: Sequence[str],
    environ: Mapping[str, str],
    *,
    configured: Sequence[str] = (),
    pids: Sequence[int] = (),
    run_id: str = "",
) -> SurroundingsRecord:
    """What an attempt runs in now. `environ`: the attempt's. `configured`: names that matter.

    `pids`: its ranks and its main process; none where they have ended.
    """
    cwd = os.getcwd()  # noqa: PTH109 -- as the trainer has it, links unresolved
    pid = training_process(pids, run_id)
    python = of_command(command, environ)
    if python is None and pid is not None:
        python = of_process(pid)
    commands = [list(command)]
    if pid is not None:
        commands.append(procfs.read_command(pid))
    script, files = files_of(commands, environ, cwd)
    shown, hidden = chosen(environ, configured)
    node, kernel = node_and_kernel()
    return SurroundingsRecord(
        attempt=attempt,
        taken=time.time(),
        python=None if python is None else python.version,
        packages=None if python is None else installed(python.folders),
        script=script,
        files=files,
        commit=None if script is None else commit_of(script),
        command=masked(command),
        shown=shown,
        hidden=hidden,
        node=node,
        kernel=kernel,
        driver=driver_version(),
    )


def read_kept(folder: Path, attempt: int) -> SurroundingsRecord | None:
    """The record of an attempt; None where none is kept, or another version wrote it."""
    try:
        return from_json(json.loads(read_small_file(path_of(folder, attempt))))
    except (OSError, ValueError, RecursionError):
        return None


def keep(folder: Path, record: SurroundingsRecord) -> None:
    """Write a record where the run keeps them. Raises OSError."""
    if not folder.parent.is_dir():
        # The run directory is gone. Made anew, it might lie below a bare mount point.
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder.parent))
    make_durably(folder, mode=0o700)
    body = json.dumps(to_json(record), separators=(",", ":"), ensure_ascii=False)
    path = path_of(folder, record.attempt)
    write_durably(path, body.encode("utf-8", "backslashreplace") + b"\n", mode=0o600)


def remove_others(folder: Path, attempts: Sequence[int]) -> None:
    """Remove the records of all other attempts."""
    kept = {path_of(folder, attempt).name for attempt in attempts}
    for path in folder.iterdir():
        if path.name not in kept:
            with contextlib.suppress(OSError):
                path.unlink()


def path_of(folder: Path, attempt: int) -> Path:
    """The file of an attempt's record."""
    return folder / f"{attempt:04d}.json"


def answer(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Take a record unless one is kept, and compare it to that of attempt `since`. OSError."""
    folder, attempt, since = Path(asked["folder"]), int(asked["attempt"]), asked["since"]
    record = read_kept(folder, attempt)
    # A daemon that was replaced had it taken earlier, when the attempt had just begun.
    if record is None or record.taken < asked["began"]:
        record = take(
            attempt,
            asked["command"],
            {**os.environ, **asked["env"]},
            configured=[*asked["env"], *asked.get("named", ())],
            pids=asked["pids"],
            run_id=asked["run_id"],
        )
        keep(folder, record)
    before = None if since is None else read_kept(folder, since)
    found, more = bounded([] if before is None else changes(before, record))
    remove_others(folder, [attempt] if since is None else [attempt, since])
    return {"changes": [list(one) for one in found], "more": more}


def main() -> None:
    """Answer one question."""
    os.nice(10)
    print(json.dumps(answer(json.load(sys.stdin))))


if __name__ == "__main__":
    main()
