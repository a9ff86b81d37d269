"""Incident folders: what happened, the evidence, what was done.

Best effort: on a full disk, incidents are the first thing that is lost.
"""

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from supervisor.core.vocabulary import Failure
from supervisor.system.clock import rfc3339, wall_s
from supervisor.system.durable import replace_file

LOG_TAIL_BYTES = 64 * 1024
_GPU_TIMEOUT_S = "20"


class IncidentFolders:
    """The folders `.supervisor/incidents/0001`, `0002` and so on."""

    def __init__(self, root: Path, run_dir: Path) -> None:
        self._root = root
        self._run_dir = run_dir
        self._children: list[subprocess.Popen[bytes]] = []

    def open(self) -> tuple[int, Path]:
        """Make the next folder. Raises OSError."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        taken = [int(path.name) for path in self._root.iterdir() if path.name.isdigit()]
        number = max(taken, default=0) + 1
        folder = self._root / f"{number:04d}"
        folder.mkdir(mode=0o700)
        return number, folder

    def write(
        self,
        folder: Path,
        *,
        attempt: int,
        failure: Failure,
        what: str,
        evidence: Sequence[str],
        done: str,
        log: Callable[[int], bytes],
    ) -> None:
        """Write the report, the end of the log and the state of the machine. Raises OSError.

        `log`: returns as many last bytes of the attempt's log as it is asked for.
        """
        report: dict[str, Any] = {
            "at": rfc3339(wall_s()),
            "attempt": attempt,
            "failure": failure,
            "what": what,
            "evidence": list(evidence),
            "done": done,
        }
        body = json.dumps(report, indent=2, ensure_ascii=False).encode() + b"\n"
        replace_file(folder / "incident.json", body)
        replace_file(folder / "log-tail.txt", _log_tail(log), sync=False)
        replace_file(folder / "machine.txt", self._machine().encode(), sync=False)
        self._begin_gpu_report(folder)

    def _machine(self) -> str:
        parts = [time.strftime("%Y-%m-%dT%H:%M:%S%z")]
        for name in ("loadavg", "meminfo", "pressure/memory", "pressure/io"):
            try:
                parts.append(f"== /proc/{name}\n{Path('/proc', name).read_text().strip()}")
            except OSError:
                continue  # Not every kernel has pressure files.
        try:
            usage = shutil.disk_usage(self._run_dir)
            parts.append(f"== disk of the run directory\nfree {usage.free} of {usage.total} bytes")
        except OSError as error:
            parts.append(f"== disk of the run directory\n{error}")
        return "\n\n".join(parts) + "\n"

    def _begin_gpu_report(self, folder: Path) -> None:
        # A broken GPU can hang nvidia-smi for minutes: the daemon does not wait for it.
        self._children = [child for child in self._children if child.poll() is None]
        program, limit = shutil.which("nvidia-smi"), shutil.which("timeout")
        if program is None or limit is None:
            return
        with (folder / "gpu.txt").open("wb") as file:
            command = [limit, "-s", "KILL", _GPU_TIMEOUT_S, program, "-q"]
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
            )
        self._children.append(child)


def _log_tail(log: Callable[[int], bytes]) -> bytes:
    try:
        return log(LOG_TAIL_BYTES)
    except OSError as error:
        return f"(train.log cannot be read: {error})\n".encode()
