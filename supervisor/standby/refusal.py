"""The one way in which a parked interpreter gives up: with a phrase for `status`."""


class Refused(Exception):  # noqa: N818 - a decision, not a fault
    """A process that cannot become the program exactly; its text says why."""
