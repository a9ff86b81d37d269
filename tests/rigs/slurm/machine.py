"""One machine of the cluster: namespaces that can be entered, and lost as in a power cut."""

import os
import shutil
import signal
import subprocess
import uuid
from pathlib import Path

from tests.rigs.waiting import wait_until

HERE = Path(__file__).resolve().parent
UP_S = 30.0


class Machine:
    """A machine with its own processes, names and memory; files and network are shared."""

    def __init__(self, folder: Path, name: str, environment: dict[str, str]) -> None:
        self.folder = folder
        self.name = name
        self.environment = environment
        self.init = 0
        self._outer: subprocess.Popen[bytes] | None = None
        folder.mkdir()
        (folder / "machine-id").write_text(uuid.uuid4().hex + "\n")

    def boot(self) -> None:
        """Boot, with another boot id each time."""
        (self.folder / "boot_id").write_text(f"{uuid.uuid4()}\n")
        (self.folder / "up").unlink(missing_ok=True)
        enter = ["unshare", "--pid", "--fork", "--mount", "--uts", "--ipc", "--kill-child"]
        with (self.folder / "console.log").open("ab") as out:
            # A killed pytest kills the machine, and with PID 1 every process in it.
            self._outer = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *enter, "sh", HERE / "machine.sh", self.folder,
                 self.name],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip
        wait_until((self.folder / "up").exists, UP_S, story=self.said)
        outer = self._outer.pid
        self.init = int(Path(f"/proc/{outer}/task/{outer}/children").read_text().split()[0])

    def said(self) -> str:
        """The output of its first process."""
        return (self.folder / "console.log").read_text(errors="replace")

    def run(
        self, *words: str | Path, check: bool = True, cwd: Path | str = "/", timeout_s: float = 60,
        **env: str,
    ) -> "subprocess.CompletedProcess[str]":  # fmt: skip
        """Run a command on the machine, as root."""
        done = subprocess.run(
            ["nsenter", "--target", str(self.init), "--all", f"--wdns={cwd}", *words],
            env={**self.environment, **env}, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=timeout_s, check=False,
        )  # fmt: skip
        if check:
            assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def start(
        self, *words: str | Path, log: Path, cwd: Path | str = "/"
    ) -> "subprocess.Popen[bytes]":
        """Start a daemon on the machine, in the foreground of its own session."""
        with log.open("ab") as out:
            return subprocess.Popen(
                ["nsenter", "--target", str(self.init), "--all", f"--wdns={cwd}", *words],
                env=self.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True,
            )  # fmt: skip

    def pids(self, pattern: str) -> list[int]:
        """Pids, as the machine numbers them, of processes whose command line matches."""
        found = self.run("pgrep", "-f", "--", pattern, check=False)
        return [int(word) for word in found.stdout.split()]

    def kill(self, pid: int, signum: int) -> None:
        """Signal a process by the machine's pid for it."""
        self.run("kill", f"-{int(signum)}", str(pid))

    def lose(self) -> None:
        """Cut the power: every process dies at once, and the machine's memory is gone."""
        if self._outer is None:
            return
        if self.init:
            os.kill(self.init, signal.SIGKILL)  # unshare waits for it, and ends by itself
        else:
            self._outer.kill()
        self._outer.wait()
        self._outer, self.init = None, 0

    @property
    def is_up(self) -> bool:
        """Whether the machine runs."""
        return self.init != 0


def missing_programs() -> str | None:
    """The programs that must be installed first; None if none is missing."""
    needed = ("munged", "mungekey", "slurmctld", "slurmd", "sbatch", "scontrol", "srun")
    needed += ("unshare", "nsenter", "setpriv", "pgrep")
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    lacking = [name for name in needed if shutil.which(name, path=path) is None]
    return f"not there: {', '.join(lacking)} (apt-get install slurm-wlm munge)" if lacking else None
