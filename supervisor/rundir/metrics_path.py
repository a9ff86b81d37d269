"""Where the metrics of a run are written: the daemon does that, `clean` removes what it left."""

import re
from pathlib import Path


def metrics_path(directory: str | Path, name: str, run_id: str) -> Path:
    """The file of one run. Runs of the same name have files of their own."""
    plain = re.sub(r"[^A-Za-z0-9_.-]", "_", name)
    return Path(directory) / f"train_supervisor_{plain}_{run_id}.prom"
