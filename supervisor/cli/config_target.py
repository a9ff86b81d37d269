"""Which configuration a command means: a path, a run's name, or that of the only run here."""

from pathlib import Path

import click

from supervisor.cli.show.advice import shown_path
from supervisor.core.vocabulary import ExitCode
from supervisor.errors import SupervisorError

_RUNS, _CONFIG = Path("runs"), "config.yaml"

config_argument = click.argument("config", type=click.Path(path_type=Path), required=False)
name_option = click.option(
    "--name", metavar="NAME", help="The run in runs/NAME, in place of a configuration."
)


def find_config(config: Path | None, name: str | None = None) -> Path:
    """The path of the configuration that is meant.

    Without a path or a name it is that of the only run below `runs/`. A run's name and its
    directory stand for the configuration in it. Raises SupervisorError naming the candidates.
    """
    if config is not None and name is not None:
        raise SupervisorError(
            "give either a configuration or --name, not both", code=ExitCode.USAGE
        )
    if name is not None:
        if (_RUNS / name / _CONFIG).is_file():
            return _RUNS / name / _CONFIG
        raise _refusal(f"{_RUNS / name}: there is no such run")
    if config is not None:
        for inside in (config / _CONFIG, _RUNS / config / _CONFIG):
            if not config.is_file() and inside.is_file():
                return inside
        return config
    known = _known()
    if len(known) == 1:
        return known[0]
    raise _refusal("there is more than one run" if known else "there is no run in ./runs")


def _known() -> list[Path]:
    return sorted(path for path in _RUNS.glob(f"*/{_CONFIG}") if path.is_file())


def _refusal(message: str) -> SupervisorError:
    listed = "\n".join(f"  {shown_path(path)}" for path in _known())
    hint = "give the path of a configuration; `supervisor init` writes one"
    if listed:
        hint = f"name one of these configurations:\n{listed}"
    return SupervisorError(message, hint=hint, code=ExitCode.USAGE)
