"""The tools whose checkpoints are known, a row each, in the order in which they are asked."""

from supervisor.checkpoint.formats import (
    accelerate,
    composer,
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
    timm,
)

TOOLS = (
    guide.FORMAT,
    huggingface.FORMAT,
    accelerate.FORMAT,
    lightning.FORMAT,
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
)
