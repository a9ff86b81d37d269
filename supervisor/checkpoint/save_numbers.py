"""The numbers in the names of saves: which of them counts steps, and what a series shares.

It reads no file.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

# Digits that count no steps: ranks and shards, decimals, hashes, endings, precisions.
_OTHER_DIGITS = re.compile(
    r"(?P<rank>(?:(?<=__)\d+_\d+(?=\.distcp)|\d+-of-\d+|(?<![a-z])(?:rank|rng|rng_state|"
    r"random_states?|worker|gpu|device|proc|process|host|node|shard|part|chunk|layer|block|stage|"
    r"expert|fold|tp|pp|dp|mp|world_size|fsdp|model_fsdp|optimizer)[-_]?\d+))"
    r"|(?P<decimal>(?<![\da-z])\d+\.\d+(?:e-?\d+)?(?!\d))"
    r"|(?P<other>(?<![\da-z])(?=\d*[a-f])(?=[a-f]*\d)[\da-f]{8,}(?![\da-z])"
    r"|\.h5|\.hdf5|\.t7|(?:fp|bf|int|uint|float)\d+)",
    re.IGNORECASE,
)
_DIGITS = re.compile(r"\d+", re.ASCII)
_STEPS_BEFORE = re.compile(
    r"(?P<progress>(?:step|steps|iter|iters|iteration|iterations|update|updates)|"
    r"(?<![a-z])(?:ba|it|s|global))[-_=. ]*\Z"
    r"|(?:epochs?|(?<![a-z])(?:ep|e)|ckpt|checkpoint|chkpt|chkpnt|(?<![a-z])cp|models?|weights?|"
    r"snapshot|(?<![a-z])snap|state|saved?|params|(?<![a-z])(?:net|net_g|net_d|round|gen))"
    r"[-_=. ]*\Z",
    re.IGNORECASE,
)
_STEPS_AFTER = re.compile(
    r"[-_]?k?(?P<progress>steps?|iters?|iterations?)?(?:epochs?|ep)?(?![\da-z])", re.IGNORECASE
)
MOST_DIGITS = 18
_SPECIAL = re.compile(r"([.^$*+?{}\[\]\\|()])")


class Number(NamedTuple):
    """One run of digits in a name.

    `weight`: 2 where the name calls it steps, 1 where epochs or a save, 0 where it says nothing.
    """

    start: int
    end: int
    weight: int


def numbers(name: str) -> tuple[Number, ...]:
    """The runs of digits that may count steps, in order."""
    other = [match.span() for match in _OTHER_DIGITS.finditer(name)]
    found = []
    for match in _DIGITS.finditer(name):
        start, end = match.span()
        if end - start > MOST_DIGITS or any(a < end and start < b for a, b in other):
            continue
        found.append(Number(start, end, _weight(name, start, end)))
    return tuple(found)


def _weight(name: str, start: int, end: int) -> int:
    before, after = _STEPS_BEFORE.search(name[:start]), _STEPS_AFTER.match(name, end)
    if after is None:
        return 0  # `7b`, `50m`: glued to a word that is no count
    if (before and before["progress"]) or after["progress"]:
        return 2
    is_alone = start == 0 and (end == len(name) or name[end] == ".")
    return 1 if before or is_alone or after.end() > end else 0


def series_key(name: str) -> str:
    """What all names of one series share: their digits put out of sight, ranks and decimals too."""
    counted = {number.start: number.end for number in numbers(name)}
    parts, at = [], 0
    for match in _DIGITS.finditer(name):
        mark = "#" if match.start() in counted else "~"
        if mark == "~" and not _is_variable(name, match.start()):
            continue
        parts += [name[at : match.start()], mark]
        at = match.end()
    return "".join([*parts, name[at:]])


def _is_variable(name: str, at: int) -> bool:
    """Whether digits that count nothing still differ within a series: a rank, a loss."""
    return any(
        match.start() <= at < match.end() and match.lastgroup != "other"
        for match in _OTHER_DIGITS.finditer(name)
    )


def counts(name: str) -> tuple[int, ...]:
    """The numbers of a name that may be steps; () for a name without any."""
    return tuple(int(name[number.start : number.end]) for number in numbers(name))


def step_number(names: Sequence[str]) -> int | None:
    """Which of the numbers of a series counts its steps, as an index into `numbers`.

    `names` oldest first, of one series. That which is called steps is taken before others, one
    that grows before one that does not, the last before the first. None where there is no number.
    """
    if not names:
        return None
    rows = [counts(name) for name in names]
    weights = [number.weight for number in numbers(names[-1])]

    def rank(index: int) -> tuple[bool, int, int]:
        column = [row[index] for row in rows if index < len(row)]
        grows = len(set(column)) > 1 and column == sorted(column)
        return (grows or len(rows) == 1, weights[index], index)

    return max(range(len(weights)), key=rank, default=None)


def suggest_pattern(names: Sequence[str]) -> str:
    r"""A value for `checkpoints.pattern`: `weights-(?P<step>\d+)\.bin`; `names` oldest first.

    A name without a number gets an empty group at its end.
    """
    name = names[-1]
    found = numbers(name)
    chosen = step_number(names)
    step = None if chosen is None else found[chosen].start
    counted = {number.start for number in found}
    parts, at = [], 0
    for match in _DIGITS.finditer(name):
        if match.start() in counted or _is_variable(name, match.start()):
            parts.append(_escaped(name[at : match.start()]))
            parts.append(r"(?P<step>\d+)" if match.start() == step else r"\d+")
            at = match.end()
    return "".join([*parts, _escaped(name[at:]), "" if step is not None else "(?P<step>)"])


def _escaped(text: str) -> str:
    """As `re.escape`, but what needs no backslash gets none: people have to read it."""
    return _SPECIAL.sub(r"\\\1", text)


def is_set_apart(name: str) -> bool:
    """Whether a number of a name stands for itself: `w-10.pt`, not `resnet50.pt`."""
    return any(not name[number.start - 1 : number.start].isalpha() for number in numbers(name))
