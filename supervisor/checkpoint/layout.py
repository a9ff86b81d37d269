"""The names of what this program puts into a checkpoint directory. It reads no file."""

# Hidden directories, because accelerate and diffusers parse the names beside their checkpoints:
# `checkpoint-1000.corrupt` broke their name parsing and their pruning.
SET_ASIDE = ".set-aside"
STAGING_PREFIX = ".staging-"
MANIFEST = "manifest.json"
TRAINING_STATE = "training_state.json"


def is_safe_name(name: str) -> bool:
    """Whether a file's name stays inside its directory: relative, and no `..` in it."""
    return (
        bool(name)
        and "\0" not in name
        and all(part not in ("", ".", "..") for part in name.split("/"))
    )
