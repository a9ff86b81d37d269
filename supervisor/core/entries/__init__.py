"""The kinds of entry in a run's ledger, one dataclass each; docs/run-directory.md lists them."""
