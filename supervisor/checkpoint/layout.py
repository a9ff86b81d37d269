"""Names that this program gives to what it puts into a checkpoint directory. It reads no file."""

# Ours stand in hidden directories: `checkpoint-1000.corrupt` beside the others broke the name
# parsing and the pruning of accelerate and diffusers.
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
