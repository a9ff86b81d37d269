"""The tools whose checkpoints are known: a row for each, in the order in which they are asked."""

from supervisor.checkpoint.formats import (
    accelerate,
    composer,
    dcp,
    deepspeed,
    detectron2,
    fairseq,
    guide,
    huggingface,
    kohya,
    lightning,
    megatron,
    nanogpt,
    orbax,
    ray,
    stable_baselines3,
    tensorflow,
    timm,
)

TOOLS = (
    guide.FORMAT,
    huggingface.FORMAT,
    accelerate.FORMAT,
    lightning.FORMAT,
    dcp.FORMAT,
    deepspeed.FORMAT,
    megatron.FORMAT,
    kohya.FORMAT,
    nanogpt.FORMAT,
    fairseq.FORMAT,
    detectron2.FORMAT,
    composer.FORMAT,
    timm.FORMAT,
    stable_baselines3.FORMAT,
    ray.FORMAT,
    orbax.FORMAT,
    tensorflow.FORMAT,
)
# The files that say how far training is.
PROGRESS_FILES = tuple(tool.progress for tool in TOOLS if tool.progress is not None)
