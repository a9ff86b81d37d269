"""Whether the adapters to training libraries can reach the command, as far as it tells."""

from collections.abc import Iterator

from supervisor.cli.preflight.finding import Finding, Level
from supervisor.config.model import RunConfig
from supervisor.system.python_flags import ignores_startup


def adapter(config: RunConfig) -> Iterator[Finding]:
    """Warn of a Python that is told to read no PYTHONPATH, or to run no `sitecustomize`."""
    if config.integrate == "none":
        yield Finding("adapter", Level.OK, "none: integrate: none")
        return
    why = ignores_startup(config.command)
    if why is not None:
        do = (
            "leave the option out; or set `checkpoints.directory` and `resume.args`, and read steps"
            " with `watch.progress`"
        )
        yield Finding("adapter", Level.WARN, f"none: {why}", do)
