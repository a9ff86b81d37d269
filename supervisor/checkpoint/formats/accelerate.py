"""accelerate's `save_state`, and the names in its examples. torchtitan too writes `step-N`."""

import re

from supervisor.checkpoint.formats.name_rule import NameRule, SharedName
from supervisor.checkpoint.formats.tool_format import ToolFormat
from supervisor.checkpoint.listing import FileListing
from supervisor.checkpoint.proofs.zip_archive import DamagedError

# What `save_state` writes before its random states. `model.bin` is left out: beside an
# `optimizer.bin` it comes from a user's own script.
_WRITTEN_BEFORE = (
    r"(?:model(?:_\d+)?|pytorch_lora_weights|adapter_model.*|.*/.+)\.safetensors"
    r"|(?:.*/)?(?:diffusion_)?pytorch_model.*|sampler.*\.bin|custom_checkpoint_\d+\.pkl"
)
_RANDOM_STATE = r"random_states_\d+\.pkl"


def _check(stock: FileListing) -> None:
    """Check that the random states, which `save_state` writes last, are there.

    Raises DamagedError with a sentence.
    """
    names = stock.files.keys()
    if (
        names & {"optimizer.bin", "scheduler.bin"}
        and any(re.fullmatch(_WRITTEN_BEFORE, name) for name in names)
        and not any(re.fullmatch(_RANDOM_STATE, name) for name in names)
    ):
        raise DamagedError("random_states_0.pkl is missing, which accelerate writes last")


FORMAT = ToolFormat(
    names=(
        NameRule("step", r"step[-_]?(?P<step>\d+)", "periodic", shared=SharedName()),
        NameRule("checkpoint_", r"checkpoint_(?P<step>\d+)", "periodic"),
        NameRule("epoch", r"epoch[-_]?(?P<epoch>\d+)", "epoch", shared=SharedName()),
    ),
    # torchtitan's folder, and accelerate's with `automatic_checkpoint_naming`.
    folder=r"(?:.*/)?checkpoints?",
    per_rank=(r"(.*random_states_)\d+(\.pkl)",),
    check=_check,
    resume="accelerate: `resume: {args: [--resume_from_checkpoint, '{checkpoint}']}`, which the"
    " script hands to `load_state`",
    sign=_RANDOM_STATE,
)
