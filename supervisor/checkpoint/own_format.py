"""Finding an overwritten file by comparing it with the same file of older checkpoints.

Several programs use endings like `.ckpt`. A MindSpore `.ckpt` is whole, a torch `.ckpt` with an
overwritten head is not, and both are neither zip archives nor pickles. Their series tells them
apart.
"""

import os
from collections.abc import Iterable

from supervisor.checkpoint.digest import open_inside
from supervisor.checkpoint.listing import FileListing, open_root
from supervisor.checkpoint.siblings import Member, by_plain_name
from supervisor.checkpoint.structure import SHARED_ENDINGS, is_known_content

_HEAD_BYTES = 256


def find_other_format(member: Member, older: Iterable[Member]) -> str | None:
    """Return what is wrong with the first file that is neither a zip archive nor a pickle.

    Only a file whose counterpart in an older checkpoint is one of these counts. None if there is
    no such file. `older`: checkpoints of the same series. Raises OSError.
    """
    mine = {
        key: name
        for key, name in by_plain_name(member).items()
        if name.endswith(SHARED_ENDINGS) and not _is_known(member.stock, name)
    }
    if not mine:
        return None
    for other in older:
        theirs = by_plain_name(other)
        for key, name in sorted(mine.items()):
            if key in theirs and _is_known(other.stock, theirs[key]):
                where = other.stock.path.name
                return (
                    f"{name} is neither a zip archive nor a pickle, although it is one in {where}"
                )
    return None


def _is_known(stock: FileListing, name: str) -> bool:
    with open_root(stock) as root_fd, open(open_inside(root_fd, name), "rb", buffering=0) as file:
        return is_known_content(os.pread(file.fileno(), _HEAD_BYTES, 0))
