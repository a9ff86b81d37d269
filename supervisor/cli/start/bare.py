"""`supervisor run --bare`: the same launch without the start-up hook and its adapters.

It answers the question whether they are the cause of a trouble.
"""

from supervisor.config.model import RunConfig


def without_adapters(config: RunConfig) -> RunConfig:
    """The configuration of one launch, which the daemon reads; the user's file stays as it is."""
    return config.model_copy(update={"integrate": "none"})
