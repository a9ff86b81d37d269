"""The output and exit code of each command, as a transcript, in one file per command.

The files are made up and the clock is fixed (frozen.py), so that only places need replacing. What
depends on the machine is left out: `check` on a whole configuration, the unit that `systemd` writes
after such a check, and the content of /dev/shm for `clean`. tests/systemd compares that unit with
the copy in systemd/.
"""

from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from supervisor.cli.group import supervisor
from tests.golden.keeping import hold_against
from tests.golden.made_up import MadeUpRun
from tests.golden.transcript import told

TRANSCRIPTS: dict[str, list[str]] = {
    "run": [
        "run", "run no.yaml", "run wrong.yaml", "run -q config.yaml", "run --no config.yaml",
        "run config.yaml -- true", "run true --lr 1", "run train.py", "run -- LR=1 true",
        "run -- no-such-program", "run --name demo -- true --token secret",
        "run --name other config.yaml",
    ],
    "status": ["status", "status --json", "status runs/demo", "status config.yaml", "status no"],
    "stop": ["stop --no-wait", "stop --json", "status", "stop no"],
    "hold": ["hold", "hold --json", "status", "hold no"],
    "resume": ["resume", "resume --json", "status --json", "resume no"],
    "reload": ["reload", "reload --json", "reload no"],
    "notify": ["notify config.yaml", "notify wrong.yaml", "notify no.yaml"],
    "logs": ["logs", "logs --attempt 2", "logs -n 1", "logs --attempt 9", "logs no"],
    "events": ["events", "events --json", "events -f", "events no"],
    "checkpoints": [
        "checkpoints", "checkpoints --json", "checkpoints list", "checkpoints pin checkpoint-20",
        "checkpoints unpin checkpoint-20", "checkpoints unpin checkpoint-20 --json",
        "checkpoints pin no", "checkpoints export checkpoint-20 copy",
        "checkpoints export checkpoint-20 copy", "checkpoints export checkpoint-30 other",
        "checkpoints export checkpoint-10 third --json",
    ],
    "validate": [
        "validate runs/demo/checkpoint-20", "validate runs/demo/checkpoint-20 --json",
        "validate runs/demo/checkpoint-30", "validate runs/demo/checkpoint-30 --json",
        "validate no",
    ],
    "diagnose": [
        "diagnose died.log", "diagnose died.log --json", "diagnose died.log --signal 9",
        "diagnose died.log --code 78", "diagnose no",
    ],
    "clean": ["clean no-such-run"],
    "check": ["check wrong.yaml", "check wrong.yaml --json", "check no.yaml"],
    "init": [
        "init new.yaml -- python train.py --lr 3e-4", "init new.yaml -- python train.py",
        "init new.yaml --force --json -- python train.py", "init no/new.yaml -- true",
    ],
    "systemd": ["systemd print wrong.yaml", "systemd", "systemd print no.yaml"],
    "sbatch": [
        "sbatch --print config.yaml", "sbatch --print --chain 3 config.yaml -- -p gpu",
        "sbatch config.yaml", "sbatch --print wrong.yaml",
    ],
    "schema": ["schema"],
}  # fmt: skip


def names(command: click.Command, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of a command and of all commands below it."""
    yield above
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from names(below, (*above, name))


def test_help(place: Path) -> None:
    """Each command's help is as kept."""
    calls = [[*words, "--help"] for words in names(supervisor)]
    assert len(calls) > len(TRANSCRIPTS)
    calls += [["--version"], [], ["no-such"], ["stats"], ["--no-such"]]
    hold_against("commands/help.txt", told(place, calls))


def test_each_command_has_a_transcript() -> None:
    """A new command without a golden file fails."""
    assert {words[0] for words in names(supervisor) if words} == set(TRANSCRIPTS)


@pytest.mark.parametrize("name", list(TRANSCRIPTS))
def test_output(place: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The commands show a held run with two good checkpoints and a damaged one."""
    MadeUpRun(place, monkeypatch)
    calls = [line.split() for line in TRANSCRIPTS[name]]
    hold_against(f"commands/{name}.txt", told(place, calls))
