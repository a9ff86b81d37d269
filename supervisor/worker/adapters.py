"""The names that the start-up hook, its adapters, the configuration and the daemon share.

Names and one path, no functions: daemon and configuration import no adapter.
"""

import os

ADAPTERS = ("huggingface", "lightning", "accelerate", "torch", "wandb")
"""The adapters by the names that `integrate` takes."""
INTEGRATE = "SUPERVISOR_INTEGRATE"
"""`auto`, `none`, or names of adapters with commas between them."""
RESUME_ARGS = "SUPERVISOR_RESUME_ARGS"
"""`1` if `resume.args` tells the trainer where to resume: adapters then leave that to it."""
ATTEMPTS_BEFORE = "attempts-before.json"
"""In the heartbeat directory: the attempt's number, and what those before it have cost."""
WANDB_RUN_ID, WANDB_RESUME = "WANDB_RUN_ID", "WANDB_RESUME"
OWN_WANDB = "SUPERVISOR_WANDB"
"""Those of the two variables above that the supervisor has set, with a comma between them."""
TRAININGS = "trainings.jsonl"
"""In `.supervisor/`: which training wrote which checkpoint, a line for each completed save."""
TRAININGS_BEGUN = "trainings-begun.jsonl"
"""In `.supervisor/`: a line for each training that began."""
DESCRIPTION_PREFIX = "describe-"
"""In the heartbeat directory: `describe-<local rank>.json`, what a rank says of its training."""
STARTUP = os.path.join(
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "integrations", "startup"
)
"""The folder that PYTHONPATH of a supervised command begins with."""
