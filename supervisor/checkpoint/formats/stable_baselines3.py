"""stable-baselines3's `CheckpointCallback`, which saves the model and then what belongs to it.

Source: stable-baselines3 2.9, common/callbacks.py (`CheckpointCallback._on_step`).
"""

import os
import re

from supervisor.checkpoint.formats.name_rule import NameRule
from supervisor.checkpoint.formats.tool_format import ToolFormat
from supervisor.checkpoint.listing import FileListing
from supervisor.checkpoint.proofs.zip_archive import DamagedError

_NAME = re.compile(r"(.+)_(\d{1,18})_steps\.zip", re.ASCII)
_BESIDE = ("replay_buffer", "vecnormalize")
_MOST_NAMES = 20_000


def _check(stock: FileListing) -> None:
    """Check that the files are there that an earlier save has beside it.

    The replay buffer and the normalization are saved after the model, and later ones may be
    removed only with it. Raises DamagedError with a sentence, OSError.
    """
    named = None if stock.is_directory else _NAME.fullmatch(stock.path.name)
    if named is None:
        return
    prefix, step = named[1], int(named[2])
    beside = re.compile(rf"{re.escape(prefix)}_({'|'.join(_BESIDE)})_(\d{{1,18}})_steps\.pkl")
    steps: dict[str, set[int]] = {}
    with os.scandir(stock.root) as entries:
        for number, entry in enumerate(entries):
            if number >= _MOST_NAMES:
                return
            found = beside.fullmatch(entry.name)
            if found is not None:
                steps.setdefault(found[1], set()).add(int(found[2]))
    for kind, there in sorted(steps.items()):
        if step not in there and min(there) < step:
            raise DamagedError(
                f"{prefix}_{kind}_{step}_steps.pkl is missing beside it, which is saved after it"
            )


FORMAT = ToolFormat(
    names=(NameRule("_steps.zip", r".+_(?P<step>\d+)_steps\.zip", "periodic", is_free=True),),
    file_endings=(".zip",),
    check=_check,
    resume="stable-baselines3: `resume: {args: [--resume, '{checkpoint}']}`, for which the script"
    " calls `load` and `learn(reset_num_timesteps=False)`",
)
