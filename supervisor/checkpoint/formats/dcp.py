"""torch.distributed.checkpoint (DCP), as torchtitan, accelerate's FSDP and Megatron write it."""

import re

from supervisor.checkpoint.formats.dcp_shards import ShardSaves, metadata_of
from supervisor.checkpoint.formats.dcp_twins import find_twin
from supervisor.checkpoint.formats.tool_format import ToolFormat
from supervisor.checkpoint.listing import FileListing
from supervisor.checkpoint.proofs.zip_archive import DamagedError
from supervisor.checkpoint.suffixes import METADATA, SHARD_SUFFIX


def _check(stock: FileListing) -> None:
    """Check that a `.metadata` is there for each shard. Raises DamagedError with a sentence."""
    for name in stock.files:
        if name.endswith(SHARD_SUFFIX) and not any(one in stock.files for one in metadata_of(name)):
            folder, slash, _ = name.rpartition("/")
            raise DamagedError(f"{folder}{slash}{METADATA} is missing, which DCP writes last")


FORMAT = ToolFormat(
    per_rank=(rf"(.*__)\d+_\d+({re.escape(SHARD_SUFFIX)})",),
    check=_check,
    prove_files=ShardSaves,
    find_mixed=find_twin,
    resume="DCP: `resume: {args: [--resume, '{checkpoint}']}`, which the script hands to"
    " `dcp.load(checkpoint_id=…)`; torchtitan, and a script that looks for its newest save, by"
    " `resume: {by: trainer}`",
    sign=r"__\d+_\d+\.distcp",
    is_sign_common=True,
)
