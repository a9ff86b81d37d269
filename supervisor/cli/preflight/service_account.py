"""The account that a unit runs as, and a rehearsal: `supervisor check` as that account."""

import json
import os
import pwd
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from supervisor.cli.preflight.finding import Level
from supervisor.core.vocabulary import ExitCode
from supervisor.errors import SupervisorError

_REHEARSAL_S = 60.0


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """The account that the unit runs as."""

    name: str
    uid: int
    gid: int
    home: str


def account_of(name: str | None) -> ServiceAccount:
    """The account of that name. Raises SupervisorError.

    Without a name: the account that called sudo, else the caller's own.
    """
    try:
        if name is not None:
            found = pwd.getpwnam(name)
        else:
            found = pwd.getpwuid(int(os.environ.get("SUDO_UID", os.getuid())))
    except KeyError:
        raise SupervisorError(
            f"{name or os.getuid()}: no such account", hint="--run-as NAME", code=ExitCode.USAGE
        ) from None
    return ServiceAccount(found.pw_name, found.pw_uid, found.pw_gid, found.pw_dir)


def search_path() -> str:
    """PATH for the unit: this installation first, then the absolute parts of the caller's PATH."""
    own = os.path.dirname(sys.executable)  # noqa: PTH120 -- links kept: a venv's Python is one
    words = [own, *os.environ.get("PATH", os.defpath).split(":")]
    return ":".join(dict.fromkeys(word for word in words if word.startswith("/")))


def rehearse(
    account: ServiceAccount, config: Path, directory: Path, path: str
) -> tuple[tuple[str, ...], list[str], list[str]]:
    """Run `supervisor check` as the unit would be run.

    Returns the words of the `supervisor` command, the problems, and the warnings. The rehearsal
    finds what a shell hides. A checkout may be found only from its own directory. The interpreter
    may lie in a home that is closed to the account. A shell's PATH alone may find the command.
    """
    program = (sys.executable, "-P", "-m", "supervisor")
    environment = {"PATH": path, "HOME": account.home, "LANG": os.environ.get("LANG", "C.UTF-8")}
    other = os.geteuid() == 0 and account.uid != 0
    groups = os.getgrouplist(account.name, account.gid) if other else None
    try:
        done = subprocess.run(
            [*program, "check", "--json", str(config)],
            cwd=directory,
            env=environment,
            user=account.uid if other else None,
            group=account.gid if other else None,
            extra_groups=groups,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_REHEARSAL_S,
            check=False,
        )
    except OSError as error:
        why = f"{error.filename}: {error.strerror}"
        return program, [f"{account.name} cannot start the supervisor: {why}"], []
    except subprocess.TimeoutExpired:
        return program, [f"`supervisor check` took longer than {_REHEARSAL_S:.0f} s"], []
    try:
        findings = json.loads(done.stdout)
    except ValueError:
        last = (done.stderr.strip() or "the command printed nothing").splitlines()[-1]
        return program, [f"{' '.join(program)} does not work for {account.name}: {last}"], []
    problems = [_line(found) for found in findings if found["level"] == Level.FAIL]
    # Leave out the record's finding: `status` says whether the run is held, stopped or running.
    warned = [found for found in findings if found["level"] == Level.WARN]
    return program, problems, [_line(found) for found in warned if found["what"] != "record"]


def _line(finding: dict[str, str]) -> str:
    do = f" ({finding['do']})" if finding["do"] else ""
    return f"{finding['what']}: {finding['text']}{do}"
