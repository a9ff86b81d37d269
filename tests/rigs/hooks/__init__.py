"""The example hooks of `configs/hooks/`, tried as they stand."""
