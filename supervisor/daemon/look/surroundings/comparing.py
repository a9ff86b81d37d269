"""Compares the records of two attempts: what is different, the likeliest causes first. Pure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import NamedTuple

    from supervisor.daemon.look.surroundings.record import SurroundingsRecord
else:
    from supervisor.system.named_tuple import NamedTuple

MOST = 10
"""So many differences are listed; the others are counted."""
HIDDEN = "(not shown)"
"""Stands for the value of a variable that may be a secret."""
_LONGEST = 80
# By as much a step has to take longer, or less long: a busy file system alone changes it by a bit.
STEP_FACTOR = 1.5
# Whether these changed is asked first; `nvidia-…` and the like come with them, and follow.
_FRAMEWORKS = frozenset({
    "accelerate", "apex", "datasets", "deepspeed", "flash-attn", "jax", "jaxlib", "lightning",
    "megatron-core", "numpy", "pytorch-lightning", "tensorflow", "tokenizers", "torch",
    "torchvision", "transformer-engine", "transformers", "triton", "xformers",
})  # fmt: skip
_ORDER = (
    *("framework", "python", "driver", "node", "script", "commit", "config", "command"),
    *("step_time", "variable", "kernel", "package"),
)


class Change(NamedTuple):
    """One difference; `before` and `after` are as people read them. None: it was not there."""

    kind: str
    """One of `_ORDER`."""
    what: str
    before: str | None = None
    after: str | None = None
    edited: float | None = None
    """When a changed file was edited, seconds since 1970, if that was after the good attempt."""


def changes(before: SurroundingsRecord, now: SurroundingsRecord) -> list[Change]:
    """All that is different, in the order in which it is told."""
    found = [
        *_plain("python", "Python", before.python, now.python),
        *_plain("driver", "driver", before.driver, now.driver),
        *_plain("node", "node", before.node, now.node),
        *_plain("kernel", "kernel", before.kernel, now.kernel),
        *_plain("commit", "commit", _short(before.commit), _short(now.commit)),
        *_packages(before.packages, now.packages),
        *_files(before, now),
        *_command(before.command, now.command),
        *_variables(before, now),
    ]
    return in_order(found)


def in_order(found: Sequence[Change]) -> list[Change]:
    """The differences, the likeliest causes first."""
    places = {kind: place for place, kind in enumerate(_ORDER)}
    return sorted(found, key=lambda one: (places.get(one.kind, len(places)), one.what))


def bounded(found: Sequence[Change], more: int = 0) -> tuple[list[Change], int]:
    """The differences that are listed, and how many others there are; `more` are left out yet."""
    return list(found[:MOST]), more + max(len(found) - MOST, 0)


def step_time_change(before_s: float | None, now_s: float | None) -> Change | None:
    """That a step takes much longer, or much less long; None where that is not known."""
    if not before_s or not now_s:
        return None
    if max(before_s, now_s) < STEP_FACTOR * min(before_s, now_s):
        return None
    return Change("step_time", "step time", _seconds(before_s), _seconds(now_s))


def _plain(kind: str, what: str, before: str | None, now: str | None) -> Iterator[Change]:
    # What is unknown in one record is no difference; but a driver that is gone is one.
    known = kind == "driver" or (before is not None and now is not None)
    if known and before != now:
        yield Change(kind, what, before, now)


def _packages(before: Mapping[str, str] | None, now: Mapping[str, str] | None) -> Iterator[Change]:
    if before is None or now is None:
        return
    for name in before.keys() | now.keys():
        was, is_now = before.get(name), now.get(name)
        if was != is_now:
            kind = "framework" if name in _FRAMEWORKS else "package"
            yield Change(kind, name, was, is_now)


def _files(before: SurroundingsRecord, now: SurroundingsRecord) -> Iterator[Change]:
    # A file that only one record has was not looked at in the other, or the command tells of it.
    for path in before.files.keys() & now.files.keys():
        was, seen = before.files[path], now.files[path]
        if was.sha256 != seen.sha256:
            kind = "script" if path == now.script else "config"
            name = path.rpartition("/")[2]
            yield Change(kind, name, edited=seen.mtime if seen.mtime > before.taken else None)


def _command(before: tuple[str, ...], now: tuple[str, ...]) -> Iterator[Change]:
    """The part in which two command lines differ."""
    if before == now:
        return
    shorter = min(len(before), len(now))
    first = next((i for i in range(shorter) if before[i] != now[i]), shorter)
    same = 0
    while same < shorter - first and before[-1 - same] == now[-1 - same]:
        same += 1
    # The option says which value it is.
    if first and before[first - 1].startswith("-"):
        first -= 1
    was, is_now = before[first : len(before) - same], now[first : len(now) - same]
    yield Change("command", "command", _words(was), _words(is_now))


def _words(words: tuple[str, ...]) -> str | None:
    return _cut(" ".join(words)) if words else None


def _variables(before: SurroundingsRecord, now: SurroundingsRecord) -> Iterator[Change]:
    known_before, known_now = {*before.shown, *before.hidden}, {*now.shown, *now.hidden}
    for name in known_before | known_now:
        was, is_now = before.shown.get(name), now.shown.get(name)
        if was is None and is_now is None:
            was = HIDDEN if name in known_before else None
            is_now = HIDDEN if name in known_now else None
            if was == is_now and before.hidden[name] != now.hidden[name]:
                yield Change("variable", name, HIDDEN, HIDDEN)
        if was != is_now:
            yield Change("variable", name, _cut(was), _cut(is_now))


def _short(commit: str | None) -> str | None:
    return None if commit is None else commit[:10]


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 100 else f"{seconds:.2g} s"
