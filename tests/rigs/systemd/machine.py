"""A small machine: Debian's systemd, PID 1 of fresh namespaces (enter.sh, boot.sh). Needs root."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.rigs.waiting import wait_until

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[2]
SYSTEMD = Path("/lib/systemd/systemd")
ACCOUNT = "training"
ACCOUNT_ID = 4242
BOOT_S = 60.0


def missing() -> str | None:
    """The programs that must be installed first; None if none is missing."""
    needed = [str(SYSTEMD), *(f"/usr/bin/{name}" for name in ("unshare", "nsenter"))]
    needed += ["/usr/bin/dbus-daemon"]
    lacking = [path for path in needed if not os.path.exists(path)]
    return f"not there: {', '.join(lacking)} (apt-get install systemd dbus)" if lacking else None


class Machine:
    """A machine that boots, runs commands, powers off, and boots again with the same disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cgroup = f"{_own_cgroup()}/rig-systemd-{os.getpid()}".lstrip("/")
        self.init = 0
        self._outer: subprocess.Popen[bytes] | None = None
        # A unit's User=, who is not root, must be able to enter.
        folder.chmod(0o755)
        for name in ("cgroup", "units", "user-units"):
            (folder / name).mkdir()
        home = folder / "home"
        home.mkdir()
        os.chown(home, ACCOUNT_ID, ACCOUNT_ID)
        accounts = Path("/etc/passwd").read_text()
        account = f"{ACCOUNT}:x:{ACCOUNT_ID}:{ACCOUNT_ID}::{home}:/bin/sh\n"
        (folder / "passwd").write_text(accounts + account)
        (folder / "console.log").touch()

    @property
    def kept(self) -> list[str]:
        """Directories that a run needs, although the machine may mount over them."""
        interpreter = Path(sys.executable).resolve().parents[1]
        places = {str(CHECKOUT), sys.prefix, sys.base_prefix, str(interpreter)}
        return sorted(places, key=len)

    def boot(self) -> None:
        """Boot until systemd reports that it is running."""
        (self.folder / "console.log").write_text("")
        enter = ["unshare", "--mount", "sh", HERE / "enter.sh"]
        with (self.folder / "outer.log").open("ab") as out:
            self._outer = subprocess.Popen(
                [*enter, self.folder, self.cgroup, *self.kept],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self.init = wait_until(self._find_init, BOOT_S, story=self._said)
        wait_until(self._is_up, BOOT_S, story=self._said)

    def _find_init(self) -> int:
        assert self._outer is not None
        pid = self._outer.pid
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            try:
                status = Path(f"/proc/{child}/status").read_text()
            except OSError:
                continue  # one of enter.sh's commands
            if f"NSpid:\t{child}\t1\n" in status:
                return int(child)
        return 0

    def _is_up(self) -> bool:
        try:
            words = Path(f"/proc/{self.init}/cmdline").read_bytes().split(b"\0")
        except OSError:
            words = [b""]  # boot.sh has failed; outer.log has the reason
        if words[0] != os.fsencode(SYSTEMD):
            return False
        return self.run("systemctl", "is-system-running", check=False).stdout.strip() == "running"

    def _said(self) -> str:
        said = (self.folder / "outer.log").read_text(errors="replace")
        if self.init:
            units = self.run("systemctl", "list-units", "--failed", check=False)
            said += self.run("systemctl", "is-system-running", check=False).stdout + units.stdout
        return said + (self.folder / "console.log").read_text(errors="replace")

    def run(
        self,
        *words: str,
        check: bool = True,
        cwd: Path | str = "/",
        timeout_s: float = 60,
        **env: str,
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command inside, as root."""
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        done = subprocess.run(
            ["nsenter", "--target", str(self.init), "--all", f"--wdns={cwd}", *words],
            env={"PATH": path, "LANG": "C.UTF-8", "HOME": "/root", "SYSTEMD_PAGER": "", **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if check:
            assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def run_as_account(
        self, *words: str, check: bool = True, cwd: Path | str = "/", timeout_s: float = 90
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command inside as the account that trains, as if it were logged in."""
        account = ["setpriv", "--reuid", ACCOUNT, "--regid", str(ACCOUNT_ID), "--clear-groups"]
        home, runtime = str(self.folder / "home"), f"/run/user/{ACCOUNT_ID}"
        return self.run(
            *account, *words, check=check, cwd=cwd, timeout_s=timeout_s,
            HOME=home, XDG_RUNTIME_DIR=runtime,
        )  # fmt: skip

    def kill(self, pid: int, signum: int) -> None:
        """Signal a process by its pid inside."""
        self.run("kill", f"-{signum}", str(pid))

    def outer_pid(self, pid: int) -> int:
        """The pid outside of the machine for a pid inside."""
        inside = os.readlink(f"/proc/{self.init}/ns/pid")
        for entry in Path("/proc").iterdir():
            try:
                status = (entry / "status").read_text() if entry.name.isdigit() else ""
                is_it = f"NSpid:\t{entry.name}\t{pid}\n" in status
                if is_it and os.readlink(entry / "ns" / "pid") == inside:
                    return int(entry.name)
            except OSError:
                continue  # ended meanwhile
        raise ProcessLookupError(pid)

    def may_raise_limits(self) -> bool:
        """Whether PID 1 has CAP_SYS_RESOURCE (24), as on a real machine."""
        status = Path(f"/proc/{self.init}/status").read_text()
        effective = next(line for line in status.splitlines() if line.startswith("CapEff:"))
        return bool(int(effective.split()[1], 16) >> 24 & 1)

    def power_off(self, timeout_s: float = 60) -> None:
        """Shut down as an administrator would, and wait until the machine is gone."""
        assert self._outer is not None
        self.run("systemctl", "poweroff", check=False)
        self._outer.wait(timeout_s)
        self.init = 0

    def destroy(self) -> None:
        """Cut the power: every process of the namespace dies with PID 1."""
        if self._outer is not None and self._outer.poll() is None:
            # --kill-child: PID 1 gets SIGKILL with it.
            self._outer.kill()
            self._outer.wait()
        self.init = 0
        script = (
            'mount --make-rprivate / && mount -t cgroup2 cgroup2 "$1/cgroup" && cd "$1/cgroup" &&'
            ' find "$2" -depth -type d -exec rmdir {} +'
        )
        remove = ["unshare", "--mount", "sh", "-c", script, "sh", self.folder, self.cgroup]
        # PID 1's children die after it; until then their groups are in use.
        wait_until(lambda: subprocess.run(remove, capture_output=True).returncode == 0, BOOT_S)
        shutil.rmtree(self.folder, ignore_errors=True)


def _own_cgroup() -> str:
    """This process's cgroup2 path in /proc/self/cgroup."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        if line.startswith("0::"):
            return line[3:].rstrip("/")
    return ""
