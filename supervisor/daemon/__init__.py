"""The process that decides: it gathers facts, asks the core, and does what the core says."""
