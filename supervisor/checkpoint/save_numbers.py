"""The numbers in the names of saves: which number counts steps, and what a series shares.

It reads no file.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

# Digits that count no steps: ranks and shards, decimals, hashes, endings, precisions.
_OTHER_DIGITS = re.compile(
    r"(?P<rank>(?:(?<=__)\d+_\d+(?=\.distcp)|\d+-of-\d+|(?<![a-z])(?:rank|rng|rng_state|"
    r"random_states?|worker|gpu|device|proc|process|host|node|shard|part|chunk|layer|block|stage|"
    r"layers|blocks|expert|fold|tp|pp|dp|mp|world_size|fsdp|model_fsdp|optimizer)[-_.]?\d+))"
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
# A name may have 255 characters. A hundred numbers, each matched with all the text before it, took
# minutes.
_MOST_NUMBERS = 8
_CHARACTERS_BEFORE = 16
# Letters before a number that make it a part of a word.
_LETTER = re.compile(r"[^\W\d_]\Z")
_GLUED = re.compile(r"(?:[a-z]{2}|(?<![a-z])v)\Z", re.IGNORECASE)
_SPECIAL = re.compile(r"([.^$*+?{}\[\]\\|()])")


class Number(NamedTuple):
    """One run of digits in a name.

    `weight`: 2 if the name calls the number steps. 1 if it calls it epochs or a save, or if the
    number stands alone or has a suffix such as `k`. 0 otherwise.
    """

    start: int
    end: int
    weight: int


class _Digits(NamedTuple):
    """One run of digits. `counts`: it may count steps. `varies`: it may differ in a series."""

    start: int
    end: int
    counts: bool
    varies: bool


def _digits(name: str) -> list[_Digits]:
    """Return all runs of digits, in order. Only the last eight that may count steps do count."""
    other = [(*match.span(), match.lastgroup != "other") for match in _OTHER_DIGITS.finditer(name)]
    found = []
    for match in _DIGITS.finditer(name):
        start, end = match.span()
        within = [varies for a, b, varies in other if a < end and start < b]
        counts_steps = end - start <= MOST_DIGITS and not within
        found.append(_Digits(start, end, counts_steps, counts_steps or any(within)))
    passed_over = [one.start for one in found if one.counts][:-_MOST_NUMBERS]
    return [one._replace(counts=one.counts and one.start not in passed_over) for one in found]


def numbers(name: str) -> tuple[Number, ...]:
    """Return the runs of digits that may count steps, in order: at most the last eight."""
    return tuple(
        Number(one.start, one.end, _weight(name, one.start, one.end))
        for one in _digits(name)
        if one.counts
    )


def _weight(name: str, start: int, end: int) -> int:
    before = _STEPS_BEFORE.search(name, max(start - _CHARACTERS_BEFORE, 0), start)
    after = _STEPS_AFTER.match(name, end)
    if after is None:
        return 0  # `7b`, `50m`: a letter that means no count follows at once
    if (before and before["progress"]) or after["progress"]:
        return 2
    is_alone = start == 0 and (end == len(name) or name[end] == ".")
    return 1 if before or is_alone or after.end() > end else 0


def series_key(name: str) -> str:
    """Return what all names of a series share: digits that may differ are replaced, ranks too."""
    parts, at = [], 0
    for one in _digits(name):
        if one.varies:
            parts += [name[at : one.start], "#" if one.counts else "~"]
            at = one.end
    return "".join([*parts, name[at:]])


def counts(name: str) -> tuple[int, ...]:
    """Return the numbers of a name that may be steps; () if it has none."""
    return tuple(int(name[number.start : number.end]) for number in numbers(name))


def all_numbers(name: str) -> tuple[int, ...]:
    """Return all numbers of a name, ranks too: a quick key to sort very many names by."""
    return tuple(map(int, _DIGITS.findall(name)))


def step_number(names: Sequence[str]) -> int | None:
    """Return which number counts the steps of a series, as an index into `numbers`.

    `names`: of one series, oldest first. A number that grows is preferred, then a higher weight,
    then a later place in the name. None if every number has weight 0 and is the same in all names:
    `word2vec.model`.
    """
    if not names:
        return None
    rows = [counts(name) for name in names]
    weights = [number.weight for number in numbers(names[-1])]
    columns = [[row[index] for row in rows if index < len(row)] for index in range(len(weights))]

    def rank(index: int) -> tuple[bool, int, int]:
        column = columns[index]
        grows = len(set(column)) > 1 and column == sorted(column)
        return (grows or len(rows) == 1, weights[index], index)

    eligible = [i for i, weight in enumerate(weights) if weight or len(set(columns[i])) > 1]
    return max(eligible, key=rank, default=None)


def suggest_pattern(names: Sequence[str]) -> str:
    r"""Return a value for `checkpoints.pattern`: `weights-(?P<step>\d+)\.bin`.

    `names`: of one series, oldest first. If no number counts steps, the pattern ends in an empty
    group.
    """
    name = names[-1]
    chosen = step_number(names)
    step = None if chosen is None else numbers(name)[chosen].start
    parts, at = [], 0
    for one in _digits(name):
        # If no number counts steps, the numbers are parts of words. Ranks differ even then.
        if one.varies and (step is not None or not one.counts):
            parts.append(_escaped(name[at : one.start]))
            parts.append(r"(?P<step>\d+)" if one.start == step else r"\d+")
            at = one.end
    return "".join([*parts, _escaped(name[at:]), "" if step is not None else "(?P<step>)"])


def _escaped(text: str) -> str:
    """Escape as `re.escape` does, with backslashes only where needed: people have to read it."""
    return _SPECIAL.sub(r"\\\1", text)


def is_set_apart(name: str, *, after_letter: bool) -> bool:
    """Whether any number of a name stands apart from a word: `net_10.pt`, not `resnet50.pt`.

    `after_letter`: a single letter before it is allowed (`w10.pt`), except a version's `v`
    (`large-v2.pt`).
    """
    glued = _GLUED if after_letter else _LETTER
    return any(
        glued.search(name, max(number.start - 2, 0), number.start) is None
        for number in numbers(name)
    )
