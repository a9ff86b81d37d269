"""The table of subcommands, each imported only when it is called."""

import importlib

import click

from supervisor import __version__

# name -> what it does; the command is <name>_command in supervisor.cli.commands.<name>.
COMMANDS = {
    "run": "Keep a training run going until it is finished.",
    "status": "What a run is doing now.",
    "stop": "Save and end the run; it stays ended until `resume`.",
    "hold": "Let the current attempt run to its end; launch no other.",
    "resume": "Take back `stop` or `hold`, or let a held run go on.",
    "reload": "Replace the daemon by the version now installed; training goes on.",
    "logs": "What the trainer printed.",
    "events": "The story of a run, in sentences.",
    "checkpoints": "List, pin, unpin or export checkpoints.",
    "validate": "Check one checkpoint.",
    "diagnose": "Say why a training run died, from its log.",
    "clean": "List, save or remove what dead runs left.",
    "check": "Preflight: would this configuration run here?",
    "notify": "Send a test message to each target of `notify`.",
    "init": "Write a commented configuration.",
    "systemd": "Write the systemd unit of a run.",
    "sbatch": "Submit a run as a SLURM job that is requeued and resumes.",
    "schema": "Print the JSON Schema of a configuration.",
}


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports a command only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order in which a user meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"supervisor.cli.commands.{cmd_name}")
        command = getattr(module, f"{cmd_name}_command")
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command to call, or a usage error with the nearest name."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib  # only a mistyped name pays for it

            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            meant = f" Did you mean {close[0]!r}?" if close else ""
            ctx.fail(f"No such command {args[0]!r}.{meant}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table for --help, without importing any command."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


_HELP = """Keep one long training run going until it is finished.

\b
supervisor run -- python train.py      start a run, or go on where it stopped
supervisor init -- python train.py     write config.yaml, to be read and changed first
supervisor run config.yaml             start the run of a configuration, or go on with it

TARGET is a run directory, a name below runs/ or a configuration. Without TARGET a command takes
the only run here, else your only live run.

\b
Exit codes
   0  finished                           70  the supervisor itself failed
   1  held: a human has to look          75  stopped, to be started again later
   2  wrong command line                 78  wrong configuration
  69  another supervisor has the run
"""


@click.group(
    cls=LazyGroup,
    help=_HELP,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "-V", "--version", prog_name="supervisor")
def supervisor() -> None:
    """Everything is in the subcommands; the text for --help is `_HELP`."""
