"""Keep one long training run going until it is finished. Nothing heavy may be imported here."""

__version__ = "0.1.0"
