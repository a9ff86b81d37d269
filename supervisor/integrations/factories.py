"""What Lightning's entry points name: the adapter's callbacks, or none if it cannot give any.

Lightning would end the training with the error of an entry point.
"""

from . import hook

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def pytorch_callbacks() -> "list[Any]":
    """Return the callbacks for a Trainer of Lightning. Never raises."""
    return _made_by("callbacks")


def fabric_callbacks() -> "list[Any]":
    """Return the callbacks for Lightning Fabric. Never raises."""
    return _made_by("fabric_callbacks")


def _made_by(name: str) -> "list[Any]":
    try:
        from . import following

        factory = getattr(following.adapter("lightning_factory"), name, None)
        return [] if factory is None else list(factory())
    except Exception as error:
        hook.tell(f"the adapter for lightning is off: {type(error).__name__}: {error}")
        return []
