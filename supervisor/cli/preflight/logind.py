"""Whether systemd-logind empties /dev/shm of a user's files when the user logs out (RemoveIPC).

Source: logind.conf(5). It changes nothing.
"""

import pwd
from pathlib import Path

_FOLDERS = ("etc/systemd", "run/systemd", "usr/local/lib/systemd", "usr/lib/systemd")
_NO = frozenset({"no", "n", "false", "f", "off", "0"})
# The greatest uid of a system user, unless login.defs names another. RemoveIPC spares system users.
_SYSTEM_UID_MAX = 999


def removes_shared_memory(uid: int, root: Path = Path("/")) -> bool:
    """Whether logind empties /dev/shm of this user's files when the user's last session ends.

    False for system users, for users who linger, and where logind does not run.
    """
    if uid <= _system_uid_max(root) or not (root / "run/systemd/users").is_dir():
        return False
    if (root / "var/lib/systemd/linger" / _user_name(uid)).exists():
        return False
    return _is_set(root)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _system_uid_max(root: Path) -> int:
    for line in _lines(root / "etc/login.defs"):
        words = line.split()
        if len(words) >= 2 and words[0] == "SYS_UID_MAX" and words[1].isdecimal():
            return int(words[1])
    return _SYSTEM_UID_MAX


def _is_set(root: Path) -> bool:
    """RemoveIPC as logind reads it: the main file, then the drop-ins in the order of their names.

    Where no line sets it, logind's compiled default counts. The distribution's main file shows that
    default in a comment (Red Hat's says no).
    """
    main = next((path for f in _FOLDERS if (path := root / f / "logind.conf").is_file()), None)
    drop_ins: dict[str, Path] = {}
    for folder in reversed(_FOLDERS):  # a drop-in in /etc replaces the others of its name
        for path in (root / folder / "logind.conf.d").glob("*.conf"):
            drop_ins[path.name] = path
    value = "yes"
    if main is not None:
        commented = [line.lstrip("#; ") for line in _lines(main) if line.startswith(("#", ";"))]
        value = _last_value(commented) or value
    for path in (*([main] if main else []), *(drop_ins[name] for name in sorted(drop_ins))):
        value = _last_value(_lines(path)) or value
    return value not in _NO


def _last_value(lines: list[str]) -> str | None:
    values = [
        line.partition("=")[2].strip().lower()
        for line in lines
        if line.partition("=")[0].strip() == "RemoveIPC"
    ]
    return values[-1] if values else None


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text(errors="replace").splitlines()]
    except OSError:
        return []
