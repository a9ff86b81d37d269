"""Lightning, and NeMo, which is built on it."""

import struct
import warnings
from collections.abc import Iterator, Mapping
from itertools import islice

from supervisor.checkpoint.formats.inside import Inside
from supervisor.checkpoint.formats.name_rule import BestWord, NameRule
from supervisor.checkpoint.formats.tool_format import ToolFormat
from supervisor.checkpoint.listing import FileListing
from supervisor.checkpoint.proofs.archived_pickle import read_archived_pickle
from supervisor.checkpoint.proofs.archived_values import count_of
from supervisor.checkpoint.proofs.zip_archive import DamagedError

_BEST = BestWord.BEST
_NEMO = "--"
_UNFINISHED = "-unfinished"
_BEST_KEY = "best_model_path"
# The files with the callbacks' state, if the checkpoint is a directory (FSDP, DeepSpeed).
_FILES = ("meta.pt", "checkpoint/mp_rank_00_model_states.pt")
_MOST_OPCODES = 2_000_000
_STRINGS = frozenset(
    {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE", "BINSTRING", "SHORT_BINSTRING"}
)
_PUTS = frozenset({"BINPUT", "LONG_BINPUT", "PUT", "MEMOIZE"})
_GETS = frozenset({"BINGET", "LONG_BINGET", "GET"})


def _best_paths(stock: FileListing) -> Iterator[str]:
    """The paths that the callbacks in a checkpoint's pickle call the best. Raises OSError.

    The pickle is not unpickled.
    """
    names = _FILES if stock.is_directory else (stock.path.name,)
    for name in names:
        data = read_archived_pickle(stock, name)
        if _BEST_KEY.encode() in data:
            yield from _strings_after(data, _BEST_KEY)


def _strings_after(data: bytes, key: str) -> Iterator[str]:
    """The strings that a pickle's dictionaries hold as values of `key`.

    A pickle takes a string that occurs again from its memo, such as the key of a second callback.
    """
    import pickletools  # takes 3 ms, and few checkpoints need it

    memo: dict[int, str] = {}
    count = 0
    last: str | None = None
    is_value = False
    with warnings.catch_warnings():
        # Python warns of escapes in a protocol 0 string as if that were source code.
        warnings.simplefilter("ignore")
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


def _check(stock: FileListing) -> None:
    """Check that NeMo's mark of an unfinished save is not beside the checkpoint.

    Raises DamagedError with a sentence. Source: NeMo 2.4, utils/callbacks/nemo_model_checkpoint.py.
    """
    name = stock.path.name
    if _NEMO not in name:
        return
    mark = stock.path.with_name(name.removesuffix(".ckpt") + _UNFINISHED)
    if mark.is_file():
        raise DamagedError(f"{mark.name} is beside it: its save was never finished")


def _read_inside(values: Mapping[str, object]) -> Inside | None:
    """The count of optimizer steps and the epoch.

    With `save_weights_only=True` there is no optimizer, and `fit` refuses the file.
    """
    if "pytorch-lightning_version" not in values:
        return None
    return Inside(
        step=count_of(values.get("global_step")),
        epoch=count_of(values.get("epoch")),
        is_weights_alone="optimizer_states" not in values,
    )


FORMAT = ToolFormat(
    names=(
        NameRule(
            "epoch=",
            r"(?:.*[-_])?epoch=(?P<epoch>\d+)[-_](?:.*[-_])?step=(?P<step>\d+)(?:[-_].*)?\.ckpt",
            "periodic",
            _BEST,
        ),
        # NeMo: NAME--val_loss=2.34-step=1000-consumed_samples=8000.0-last.ckpt
        NameRule("step=", r"(?:.*[-_])?step=(?P<step>\d+)(?:[-_].*)?\.ckpt", "periodic", _BEST),
        NameRule("epoch=", r"(?:.*[-_])?epoch=(?P<epoch>\d+)(?:[-_].*)?\.ckpt", "epoch", _BEST),
        NameRule(
            "-consumed_samples=",
            r".*[-_]step=(?P<step>\d+)-consumed_samples=\d+(?:\.\d+)?(?:-last)?",
            "periodic",
            _BEST,
        ),  # NeMo 2: directories
        # NeMo 2 without the step in `filename`.
        NameRule(
            "--", r".+--.*epoch=(?P<epoch>\d+)(?:-consumed_samples=[\d.]+)?(?:-last)?", "epoch"
        ),
        NameRule("hpc_ckpt_", r"hpc_ckpt_\d+\.ckpt", "emergency"),  # under SLURM
        NameRule("last", r"last(?:-v\d+)?\.ckpt", None),
    ),
    descriptions=r"hparams\.ya?ml",
    folder=r"(?:.*/)?checkpoints",
    best_paths=_best_paths,
    check=_check,
    read_inside=_read_inside,
    resume="Lightning: `resume: {args: [--ckpt_path, '{checkpoint}']}`, which LightningCLI or"
    " the script hands to `fit(ckpt_path=…)`",
)
