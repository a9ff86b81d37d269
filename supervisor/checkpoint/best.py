"""Which checkpoint a tool's own record calls its best; nothing is unpickled.

HF's Trainer writes it into `trainer_state.json`, Lightning into the pickle of each checkpoint.
"""

import re
import struct
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from supervisor.checkpoint.listing import FileListing, read_object
from supervisor.checkpoint.names import is_best_name, series
from supervisor.checkpoint.proofs.archived_pickle import read_archived_pickle
from supervisor.checkpoint.records import CheckpointEntry

_HUGGING_FACE = "trainer_state.json"
_MOST_NAME_BYTES = 255  # NAME_MAX
_LIGHTNING_KEY = "best_model_path"
# Lightning's checkpoint is a directory under FSDP and DeepSpeed.
_LIGHTNING_FILES = ("meta.pt", "checkpoint/mp_rank_00_model_states.pt")
_MOST_OPCODES = 2_000_000
_STRINGS = frozenset(
    {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE", "BINSTRING", "SHORT_BINSTRING"}
)
_PUTS = frozenset({"BINPUT", "LONG_BINPUT", "PUT", "MEMOIZE"})
_GETS = frozenset({"BINGET", "LONG_BINGET", "GET"})


def read_best(stock: FileListing) -> str:
    """The names of those that a checkpoint's own record calls the best, `/` between them.

    Empty where it names none. Raises OSError.
    """
    if stock.is_directory:
        state = read_object(stock, _HUGGING_FACE)
        paths = [state.get("best_model_checkpoint"), _at_step(stock, state.get("best_global_step"))]
        pickled = [name for name in _LIGHTNING_FILES if name in stock.files]
    else:
        paths, pickled = [], [stock.path.name]
    for name in pickled:
        paths += _in_pickle(stock, name)
    names = {path.rstrip("/").rpartition("/")[2] for path in paths if isinstance(path, str)}
    return "/".join(sorted(filter(_is_file_name, names)))


def _at_step(stock: FileListing, step: object) -> str | None:
    """The name that a checkpoint's sibling of that step has; None where its own tells no step."""
    named = stock.named
    if named is None or named.step is None or type(step) is not int or not 0 <= step < 1 << 62:
        return None
    own = re.escape(str(named.step))
    name, count = re.subn(rf"(?<!\d){own}(?!\d)", str(step), stock.path.name)
    return name if count == 1 else None


def _is_file_name(name: str) -> bool:
    """Whether a file can be called so: a record is anybody's, and the ledger keeps the names."""
    length = len(name.encode(errors="surrogatepass"))
    return 0 < length <= _MOST_NAME_BYTES and "\0" not in name


def mark_best(entries: Sequence[CheckpointEntry]) -> list[CheckpointEntry]:
    """The entries, newest first, with `best` set for those that are called so.

    Of each series the newest record counts: of improving ones each was the best once. Where that
    is not proven, the newest proven one counts beside it.
    """
    listed = {entry.name for entry in entries}
    best: set[str] = set()
    told: set[tuple[str, bool]] = set()
    for entry in entries:
        key = (series(entry.name), entry.own_run)
        if not entry.names_best or key in told:
            continue
        named = listed.intersection(entry.names_best.split("/"))
        best |= named
        if named and entry.valid:
            told.add(key)
    return [
        replace(entry, best=True) if entry.name in best or is_best_name(entry.name) else entry
        for entry in entries
    ]


def _in_pickle(stock: FileListing, name: str) -> list[object]:
    data = read_archived_pickle(stock, name)
    if _LIGHTNING_KEY.encode() not in data:
        return []
    return list(_strings_after(data, _LIGHTNING_KEY))


def _strings_after(data: bytes, key: str) -> Iterator[str]:
    """The strings that stand as the values of a key in a pickle's dictionaries.

    A string that occurs again is taken from the memo, the key of a second callback for one.
    """
    import pickletools  # 3 ms that few checkpoints need

    memo: dict[int, str] = {}
    count = 0
    last: str | None = None
    is_value = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escape sequences in strings of protocol 0
        try:
            for opcode, argument, _ in islice(pickletools.genops(data), _MOST_OPCODES):
                place = argument if isinstance(argument, int) else count
                if opcode.name in _PUTS:
                    if last is not None:
                        memo[place] = last
                    count += 1
                    continue
                if opcode.name in _GETS:
                    last = memo.get(place)
                else:
                    last = str(argument) if opcode.name in _STRINGS else None
                if is_value and last is not None:
                    yield last
                is_value = not is_value and last == key
        except (ValueError, struct.error, OverflowError, IndexError, RecursionError):
            return
