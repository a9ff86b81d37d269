"""Damage to a checkpoint's files, by accident and on purpose, made from a seed."""

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from random import Random

Damage = Callable[[Random, Path], None]

# Byte strings on which code that reads lengths and offsets fails.
EDGES = [
    bytes(8), b"\xff" * 2, b"\xff" * 4, b"\xff" * 8, b"\0\0\0\x80", b"\xff\xff\xff\x7f",
    b"\0" * 7 + b"\x80", b"\xff" * 7 + b"\x7f", b"\1\0\0\0", b"PK\1\2", b"PK\3\4", b"PK\5\6",
    b"PK\6\6", b"PK\6\7", b"\x80\2", b"..", b"/", b"{", b"]", b'"', b"Infinity", b"1e999", b"-1",
]  # fmt: skip
TEXTS = [
    b"", b"null", b"[]", b"{}", b"0", b'"x"', b"Infinity", b'{"files": null}', b"\xff\xfe{\0}\0",
    b'{"global_step": 1e999, "current_epoch": NaN, "format": 1}', b"[" * 100_000,
    b'{"a":' * 100_000, b'{"global_step": ' + b"9" * 5000 + b"}", b'"\\ud800"',
]  # fmt: skip


def cut(random: Random, path: Path) -> None:
    """Cut the file short, as an interrupted write does."""
    size = path.stat().st_size
    near_the_end = max(size - random.randint(1, 64), 0)
    os.truncate(path, random.choice([random.randrange(size + 1), near_the_end, 0]))


def flip(random: Random, path: Path) -> None:
    """Flip one, two or eight bits."""
    data = bytearray(path.read_bytes())
    for _ in range(random.choice([1, 1, 1, 2, 8])):
        if data:
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    path.write_bytes(data)


def overwrite(random: Random, path: Path) -> None:
    """Overwrite some bytes with an extreme length, offset or magic number, often near the end."""
    data = bytearray(path.read_bytes())
    edge = random.choice(EDGES)
    first = max(len(data) - 256, 0) if random.random() < 0.5 else 0
    at = random.randint(first, max(len(data), first))
    data[at : at + len(edge)] = edge
    path.write_bytes(data)


def shuffle(random: Random, path: Path) -> None:
    """Zero, double, remove, exchange or add whole ranges: blocks that never reached the disk."""
    data = path.read_bytes()
    a, b, c = sorted(random.randint(0, len(data)) for _ in range(3))
    pieces = random.choice(
        [
            (data[:a], bytes(b - a), data[b:]),
            (data[:b], data[a:]),
            (data[:a], data[b:]),
            (data[:a], data[b:c], data[a:b], data[c:]),
            (data, random.randbytes(random.randint(1, 300))),
            (random.randbytes(random.randint(1, 300)), data),
        ]
    )
    path.write_bytes(b"".join(pieces))


def replace_text(random: Random, path: Path) -> None:
    """Replace the whole content with odd JSON."""
    path.write_bytes(random.choice(TEXTS))


def swap(random: Random, path: Path) -> None:
    """Replace the content with that of another file of the checkpoint."""
    others = [one for one in sorted(path.parent.iterdir()) if one.is_file() and one != path]
    if others:
        path.write_bytes(random.choice(others).read_bytes())


def become_something_else(random: Random, path: Path) -> None:
    """Make the file a link (to a good copy, itself, outside), a directory or a pipe, or remove it.

    A sixth of the calls remove it.
    """
    good = path.parent.parent / "elsewhere"
    if path.is_file():
        shutil.copyfile(path, good)
    path.unlink()
    match random.randrange(6):
        case 0:
            path.symlink_to(good)
        case 1:
            path.symlink_to(path.name)
        case 2:
            path.symlink_to("../../../../../../etc/passwd")
        case 3:
            path.mkdir()
        case 4:
            os.mkfifo(path)


def add_something(random: Random, path: Path) -> None:
    """Add a file under a name that no trainer writes."""
    name = random.choice(
        [b"\xff\xfe.pt", b"a\nb.pt", b"\x1b[2J.pt", b"..pt", b"x" * 255, b"-rf", b"model.pt ",
         b"zero_pp_rank_999999999_mp_rank_00_optim_states.pt", b"model-00001-of-99999.safetensors",
         b"model.safetensors.index.json", b"a.distcp", b"checkpoint-is-incomplete.txt"]
    )  # fmt: skip
    with open(os.path.join(os.fsencode(path.parent), name), "wb") as file:
        file.write(random.choice([b"", b"PK\3\4", b"\x80\2.", *TEXTS]))


ALL: tuple[Damage, ...] = (
    cut, flip, flip, overwrite, overwrite, shuffle, replace_text, swap, become_something_else,
    add_something,
)  # fmt: skip


def damage(random: Random, folder: Path) -> str:
    """Damage one file of a directory once, restore its times, and return what was done."""
    plain = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    if not plain:
        return "nothing left to damage"
    path = random.choice(plain)
    times = path.stat()
    how = random.choice(ALL)
    how(random, path)
    if path.exists() and not path.is_symlink():
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    return f"{how.__name__} {path.name!r}"


def picture(folder: Path) -> dict[str, bytes | int]:
    """The content of each plain file below a directory, and the kind of everything else there."""
    found: dict[str, bytes | int] = {}
    for path in folder.rglob("*"):
        mode = path.lstat().st_mode
        name = path.relative_to(folder).as_posix()
        if stat.S_ISREG(mode):
            found[name] = path.read_bytes()
        elif not stat.S_ISDIR(mode):
            found[name] = stat.S_IFMT(mode)
    return found
