"""The one way in which a parked interpreter gives up: with a phrase for `status`."""


class Refused(Exception):  # noqa: N818 - a decision, not a fault
    """The parked interpreter cannot become exactly the program; the text says why."""
