"""Whether the training script's Python has PyPI's other `supervisor`, the process manager.

The hook does not mind, for its modules have a private name. A script that imports
`supervisor.worker` itself finds the process manager.
"""

import os
from collections.abc import Iterator

from supervisor.cli.preflight.finding import Finding, Level
from supervisor.config.model import RunConfig
from supervisor.daemon.look.surroundings.interpreter import of_command
from supervisor.daemon.look.surroundings.packages import installed

_OTHER, _OURS = "supervisor", "train-supervisor"


def beside_the_trainer(config: RunConfig) -> Iterator[Finding]:
    """Warn of the other package in the Python that the command names. That Python is not run."""
    python = of_command(config.command, {**os.environ, **config.env})
    packages = None if python is None else installed(python.folders)
    if python is None or packages is None or _OTHER not in packages:
        return
    manager = f"the process manager `supervisor` {packages[_OTHER]}"
    if _OURS in packages:
        yield Finding(
            "supervisor", Level.WARN,
            f"the command's Python has {manager} and {_OURS}, which overwrite each other's files",
            f"there: `pip uninstall supervisor`, then install {_OURS} again",
        )  # fmt: skip
        return
    yield Finding(
        "supervisor", Level.WARN,
        f"the command's Python has {manager}: a script that imports `supervisor.worker` finds that"
        " one instead. Adapters to training libraries work all the same",
        f"nothing, if the script does not import it; else uninstall it there and install {_OURS}",
    )  # fmt: skip
