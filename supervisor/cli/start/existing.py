"""What becomes of checkpoints that were there before a run's first start: its user decides.

The decision is a key of the configuration, or an option of `run`, or the answer to a question. An
option and an answer are recorded in the ledger, so that they hold for all later starts.
"""

import signal
from pathlib import Path

import click

from supervisor.cli.start.typed_line import TypedLine
from supervisor.config.model import RunConfig
from supervisor.core.history import History
from supervisor.core.vocabulary import ExitCode
from supervisor.errors import SupervisorError
from supervisor.survey import candidates
from supervisor.survey.request import SurveyRequest

CHOICES = ("use", "ignore")
_KEYS = (
    "say what to do with them:\n"
    "  resume: {existing: use}      go on from the newest valid one\n"
    "  resume: {existing: ignore}   start fresh and leave them alone"
)


def with_existing(config: RunConfig, history: History, option: str | None = None) -> RunConfig:
    """The configuration with what an option or the ledger says of existing checkpoints.

    Raises SupervisorError if the option contradicts the configuration, or an earlier decision.
    """
    written, decided = config.resume.existing, history.existing
    if option is not None and option != (written or decided or option):
        where = "`resume.existing` in the configuration says" if written else "it was decided to"
        raise SupervisorError(
            f"{config.name}: --existing {option}, but {where} {written or decided}",
            hint="leave the option out; a key `resume: {existing: …}` in the configuration outranks"
            " what was decided before",
            code=ExitCode.CONFIGURATION,
        )
    choice = written or option or decided
    if choice == written or choice not in CHOICES:
        return config
    resume = config.resume.model_copy(update={"existing": choice})
    return config.model_copy(update={"resume": resume})


def decide(
    config: RunConfig, run_dir: Path, history: History, line: TypedLine, *, may_ask: bool
) -> str | None:
    """What a question decided; None where there is nothing to decide.

    `may_ask`: a person is at the terminal. Raises SupervisorError where nothing is decided.
    """
    found = undecided(config, run_dir, history)
    if not found:
        return None
    if may_ask:
        answer = _ask(config, run_dir, found)
        if answer is not None:
            return answer
    use, ignore = (line.with_option("--existing", choice).to_type for choice in CHOICES)
    hint = (
        f"to go on from the newest valid one:\n  {use}\n"
        f"to start fresh and leave them alone:\n  {ignore}"
    )
    if not line.command:
        keys = "`resume: {existing: use}` or `resume: {existing: ignore}`"
        hint += f"\nor write {keys} into the configuration"
    raise _refusal(config, run_dir, found, hint)


def refuse_undecided(config: RunConfig, run_dir: Path, history: History) -> None:
    """Refuse a first start beside checkpoints of which nothing is decided. SupervisorError."""
    found = undecided(config, run_dir, history)
    if found:
        raise _refusal(config, run_dir, found, _KEYS)


def undecided(config: RunConfig, run_dir: Path, history: History) -> list[str]:
    """Names of the checkpoints of which nothing is decided, newest first; none after a start."""
    if config.resume.existing is not None or history.attempt:
        return []
    return existing_checkpoints(_directory(config, run_dir), config.checkpoints.pattern)


def existing_checkpoints(directory: Path, pattern: str | None = None) -> list[str]:
    """Names of the checkpoints in a directory, newest first. No checkpoint is read to its end."""
    found = candidates.find(SurveyRequest(directory, pattern=pattern), directory)
    return [candidate.name for candidate in found]


def _directory(config: RunConfig, run_dir: Path) -> Path:
    return Path(config.checkpoints.directory or run_dir)


def _refusal(config: RunConfig, run_dir: Path, found: list[str], hint: str) -> SupervisorError:
    return SupervisorError(_text(config, run_dir, found), hint=hint, code=ExitCode.CONFIGURATION)


def _text(config: RunConfig, run_dir: Path, found: list[str]) -> str:
    names = ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
    return f"{_directory(config, run_dir)}: holds checkpoints that this run did not make: {names}"


def _ask(config: RunConfig, run_dir: Path, found: list[str]) -> str | None:
    """The answer of the person at the terminal; None: abort."""
    from supervisor.cli.show.terminal import echo

    echo(
        f"{_text(config, run_dir, found)}\n"
        "  use:    go on from the newest valid one\n"
        "  ignore: start fresh and leave them alone\n"
        "  abort:  start nothing",
        err=True,
    )
    # A signal may end the question: nothing runs yet that would have to save.
    signals = {signal.SIGTERM, signal.SIGUSR1}
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
    try:
        answer = click.prompt(
            "What shall the run do with them",
            type=click.Choice([*CHOICES, "abort"]),
            default="abort",
            err=True,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    return answer if answer in CHOICES else None
