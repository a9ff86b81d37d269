"""Reads progress bars: how far a bar is, of how much, and whether training draws it.

A bar of a download or an evaluation looks the same and has another name. It must not judge text
outside bars.
"""

import re
from typing import NamedTuple

_NUMBER = r"\d{1,12}(?:\.\d{1,3})?[kMG]?"
# tqdm writes hours as they come (29:12:01). Other bars write days.
_AGE = r"(?:\d{1,4} days?, {0,2})?(?:\d{1,6}:)?\d{1,2}:\d\d"
_TQDM = re.compile(
    rf"(?<![\d./])(?P<done>{_NUMBER})/(?P<total>{_NUMBER}|\?) ?\[{_AGE}(?:<[^\]]{{0,300}})?"
    rf"|(?<![\d./])(?P<count>{_NUMBER}) ?(?:it|steps?|ba(?:tch(?:es)?)?) \[{_AGE}, [^\]]{{0,300}}"
)
# Keras 2 draws [====>....], Keras 3, rich and ultralytics draw lines; Keras counts first.
_KERAS = re.compile(
    r"(?<![\d./])(?P<done>\d{1,12})/(?P<total>\d{1,12}|Unknown) ?"
    r"(?:(?:\[[=>.\s]{5,200}\]|[━─╸╺╴]{3,200}) {0,80}(?:- )?(?:ETA|\d)"
    r"|\d{1,9}s \d{1,9}[mu]?s/step)"
)
_LINE = re.compile(
    r"(?<![━─╸╺╴])[━─╸╺╴]{3,300} {0,300}(?:\d{1,3}% {1,8})?"
    # pip names a package behind it.
    r"(?P<done>\d{1,12})/(?P<total>\d{1,12})(?![\d/.])(?! \[)"
    r"|(?<![━─╸╺╴])[━─╸╺╴]{3,300} {0,300}(?P<percent>\d{1,3})% "
)
_LINE_GLYPHS = "━─"
_DRAWN = re.compile(r"\s{0,20}\d{1,3}%(?:\|.{0,300})?$|\s{0,20}\|.{0,300}\|\s{0,4}$")
_UNIT_OF_DATA = re.compile(
    r"(?:\bexamples?|[kKMGT]i?B|\bB|\bfiles?|\bshards?|\brows?|\bdocs?|\bdocuments?|\bprompts?"
    r"|\bimages?)/s|s/(?:example|file|shard|doc|prompt)\b"
)
_TRAINING = re.compile(
    r"train|epoch|\bsteps?\b|\biter(?:ation)?s?\b|\bit\b|\bbatch(?:es)?\b|loss\b|\bupdates?\b"
    r"|fine-?tun|\bfit|optimi[sz]|^\W{0,4}(?:global_?)?step",
    re.IGNORECASE,
)
# Any other work ("Loading", "Tokenizing"), and evaluation.
_OTHER = re.compile(
    r"\b(?!(?:pre-?|fine-?)?(?:train|tun|learn|fitt|optimi[sz])ing\b)[a-z]{2,30}ing\b"
    r"|\bmap\b|\bfilter|\beval|\bval(?:id\w{0,8})?\b|\btest|\bpredict|\bsanity|\bdownload|\bcache"
    r"|\bdatasets?\b|\bsplits?\b|\bcheckpoints?\b|\bshards?\b|\bfiles?\b|\bexamples?\b|\btokeni[sz]"
    r"|\.(?:json|bin|safetensors|pt|pth|txt|model|parquet|tar)\b|\bmAP|\bsampl|\bwarm-?up\b",
    re.IGNORECASE,
)
_RANK = re.compile(
    r"\W{0,3}(?:local_|global_)?(?:rank|gpu|cuda|worker|proc(?:ess)?)\W?\d{1,6}\W{0,3}", re.I
)
# ultralytics: epoch, memory of the device, losses.
_ULTRALYTICS = re.compile(r"\s{0,40}(\d{1,6})/(\d{1,6}) +[\d.]{1,8}[KMG]?B? +[\d.naif]{1,12}\b")
_EPOCH = re.compile(r"\bepoch\W{0,4}(\d{1,9})(?: ?/ ?(\d{1,9}))?", re.IGNORECASE)
_FACTORS = {"k": 1_000, "M": 1_000_000, "G": 1_000_000_000}


class Bar(NamedTuple):
    """A bar of training: `done` of `total` ("?" if it shows none), in an epoch if it names one.

    `names_epoch`, `epochs`: whether it does, and how many there are. `kind` is `tqdm`, `line` or
    `keras`; `name` is the text before it.
    """

    done: int
    total: str
    epoch: int
    begin: int
    end: int
    kind: str = "tqdm"
    name: str = ""
    names_epoch: bool = False
    epochs: int | None = None


def find_bar(text: str, *, from_zero: bool = False) -> tuple[bool, Bar | None]:
    """Whether a line has a bar at all, and the last one in it if it is a bar of training.

    A bar at 0 is no sign of a step, so it is none, unless `from_zero`.
    """
    found: list[re.Match[str]] = []
    kind = "tqdm"
    if "[" in text:
        found = [*_TQDM.finditer(text)]
    if not found and not text.isascii() and any(glyph in text for glyph in _LINE_GLYPHS):
        found, kind = [*_LINE.finditer(text)], "line"
    if not found and "/" in text:
        found, kind = [*_KERAS.finditer(text)], "keras"
    if not found:
        return False, None
    last = found[-1]
    before = found[-2].end() if len(found) > 1 else 0
    bar = _of_training(text, last, before, from_zero=from_zero)
    return True, None if bar is None else bar._replace(kind=kind)


def _of_training(text: str, found: re.Match[str], begin: int, *, from_zero: bool) -> Bar | None:
    groups = found.groupdict()
    done = groups.get("done") or groups.get("count") or groups.get("percent") or "0"
    total = groups.get("total") or ("100%" if groups.get("percent") else "?")
    total = "?" if total == "Unknown" else total
    number = _whole(done)
    is_begun = number > 0 or from_zero
    if not is_begun or _UNIT_OF_DATA.search(text, found.start(), found.end() + 300):
        return None
    name = _DRAWN.sub("", text[begin : found.start()]).lstrip("] ")
    epoch = _ULTRALYTICS.match(name)
    if epoch is None:
        if not _is_training(name) or (groups.get("percent") and not name.strip()):
            return None
        epoch = _EPOCH.search(name)
    bar = Bar(number, total, 0, found.start(), found.end(), name=name)
    if epoch is None:
        return bar
    epochs = int(epoch[2]) if epoch[2] else None
    return bar._replace(epoch=int(epoch[1]), names_epoch=True, epochs=epochs)


def _is_training(name: str) -> bool:
    name = name.strip(" :|-\"'")
    if not any(character.isalpha() for character in name):
        return True
    if _OTHER.search(name) is not None:
        return False
    return _TRAINING.search(name) is not None or _RANK.fullmatch(name) is not None


def _whole(text: str) -> int:
    factor = _FACTORS.get(text[-1:], 1)
    return round(float(text.rstrip("kMG")) * factor)
