"""`supervisor systemd`: writes the unit that keeps a run going across crashes and reboots."""

import os
import subprocess
from pathlib import Path

import click

from supervisor.cli.config_target import config_argument, find_config
from supervisor.cli.preflight.service_account import (
    ServiceAccount,
    account_of,
    rehearse,
    search_path,
)
from supervisor.cli.show.terminal import echo, json_text
from supervisor.cli.submit.single_line import single_line
from supervisor.cli.submit.unit import Unit, unit_text
from supervisor.config.load import load_config
from supervisor.config.model import RunConfig
from supervisor.core.vocabulary import ExitCode
from supervisor.errors import SupervisorError
from supervisor.system.durable import write_durably

BOOTED = Path("/run/systemd/system")  # sd_booted(3)
SYSTEM_UNITS = Path("/etc/systemd/system")
LINGERING = Path("/var/lib/systemd/linger")
# user@.service has this TimeoutStopSec, whatever the units in it ask for.
USER_MANAGER_STOP_S = 120
READ_ONLY = ("/usr", "/boot", "/efi", "/etc")  # ProtectSystem=full

_for_user = click.option(
    "--user",
    "for_user",
    is_flag=True,
    help="Make a unit of your own user manager; this needs no root.",
)
_run_as = click.option(
    "--run-as",
    metavar="NAME",
    help="The account that trains (default: the account that called sudo, or yours).",
)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group("systemd", short_help="Write the systemd unit of a run.")
def systemd_command() -> None:
    """Keep a run going across crashes and reboots, as a unit of systemd."""


@systemd_command.command("print", short_help="Print the unit.")
@config_argument
@_for_user
@_run_as
@_as_json
def print_command(config: Path | None, for_user: bool, run_as: str | None, as_json: bool) -> None:
    """Print the unit for CONFIG. Exits 78 if the run would not work under systemd."""
    resolved, unit, warnings = _prepare(find_config(config), for_user, run_as)
    if as_json:
        body = {"unit": _unit_name(resolved), "text": unit_text(unit), "warnings": warnings}
        click.echo(json_text(body))
        return
    click.echo(unit_text(unit), nl=False)
    for line in warnings:
        echo(f"warning: {line}", err=True)


@systemd_command.command(
    "install", short_help="Write the unit to the place where systemd looks for it."
)
@config_argument
@_for_user
@_run_as
@click.option(
    "--force", is_flag=True, help="Overwrite an existing unit of the same name, even if it differs."
)
@_as_json
def install_command(
    config: Path | None, for_user: bool, run_as: str | None, force: bool, as_json: bool
) -> None:
    """Write the unit for CONFIG, and print what to type next. It starts nothing."""
    if not BOOTED.is_dir():
        raise SupervisorError(
            "systemd does not run this machine (is it a container?)",
            hint="`supervisor run CONFIG` needs no systemd; `supervisor systemd print` shows the"
            " unit",
            code=ExitCode.CONFIGURATION,
        )
    if not for_user and os.geteuid() != 0:
        raise SupervisorError(
            f"{SYSTEM_UNITS}: only root may write a system unit",
            hint="call it with sudo, or add --user for a unit of your own, which needs no root",
            code=ExitCode.CONFIGURATION,
        )
    if for_user and os.environ.get("SUDO_UID"):
        raise SupervisorError(
            "--user under sudo would write a unit of root's user manager",
            hint="call it without sudo",
            code=ExitCode.USAGE,
        )
    resolved, unit, warnings = _prepare(find_config(config), for_user, run_as)
    name = _unit_name(resolved)
    place = (_user_units() if for_user else SYSTEM_UNITS) / name
    _write(place, unit_text(unit), force=force)
    control = ["systemctl", "--user"] if for_user else ["systemctl"]
    _reload_systemd(control)
    if as_json:
        body = {"unit": name, "path": str(place), "warnings": warnings}
        click.echo(json_text(body))
        return
    for line in warnings:
        echo(f"warning: {line}", err=True)
    echo(f"wrote {place}\n{_next_steps(name, for_user)}")


def _unit_name(config: RunConfig) -> str:
    return f"supervisor@{config.name}.service"


def _next_steps(name: str, for_user: bool) -> str:
    option = " --user" if for_user else ""
    short = name.removesuffix(".service")
    lines = [
        (f"systemctl{option} enable --now {short}", "start it, now and at each boot"),
        (f"systemctl{option} status {short}", "state, step and loss"),
        (f"journalctl{option} -fu {short}", "what the supervisor does"),
        (f"systemctl{option} stop {short}", "save and end; `start` goes on from there"),
    ]
    width = max(len(command) for command, _ in lines)
    return "\n".join(f"  {command:<{width}}  # {why}" for command, why in lines)


def _prepare(path: Path, for_user: bool, run_as: str | None) -> tuple[RunConfig, Unit, list[str]]:
    """The configuration, its unit, and warnings.

    Raises SupervisorError with every reason why the run would not work under systemd.
    """
    if for_user and run_as is not None:
        raise SupervisorError(
            "--run-as does not go with --user: a user manager runs everything as its own user",
            hint="leave out one of the two options",
            code=ExitCode.USAGE,
        )  # fmt: skip
    directory = Path.cwd()
    for place in (directory, path):
        single_line(str(place), "the name")
    config = load_config(path).config.resolved(directory)
    directory = Path(single_line(config.cwd or str(directory), "the name"))
    assert config.run_dir is not None
    account = account_of(run_as)
    places = [config.run_dir, config.checkpoints.directory or config.run_dir]
    search = search_path()
    program, problems, warnings = rehearse(account, path.absolute(), directory, search)
    if not for_user:
        problems += _read_only(places)
    if problems:
        raise SupervisorError(
            f"{path}: the run would not work under systemd as {account.name}:\n"
            + "\n".join(f"  {line}" for line in problems),
            hint="nothing was written; `supervisor check` says more",
            code=ExitCode.CONFIGURATION,
        )
    if for_user:
        warnings += _of_user_manager(account, config.grace)
    elif account.uid == 0:
        warnings.append(
            "the trainer will run as root; to choose another account, add --run-as NAME"
        )
    unit = Unit(
        description=f"Training run {config.name} (supervisor)",
        program=program,
        config=str(path.absolute()),
        directory=str(directory),
        grace_s=config.grace,
        for_user=for_user,
        run_as=None if for_user else account.name,
        path=search,
        mounts=tuple(dict.fromkeys([*places, str(path.absolute())])),
    )
    return config, unit, warnings


def _read_only(places: list[str]) -> list[str]:
    return [
        f"{place}: {top} is read-only in the unit (ProtectSystem=full); choose another place"
        for place in dict.fromkeys(places)
        for top in READ_ONLY
        if Path(place).is_relative_to(top)
    ]


def _of_user_manager(account: ServiceAccount, grace_s: float) -> list[str]:
    """Warnings for a unit of a user manager: lingering, and its own limit for a stop."""
    warnings = []
    if not (LINGERING / account.name).exists():
        warnings.append(
            f"without lingering the run is stopped when {account.name} logs out, and does not"
            f" start at boot; to turn lingering on: loginctl enable-linger {account.name}"
        )
    if grace_s > USER_MANAGER_STOP_S:
        warnings.append(
            f"at a shutdown systemd gives a user manager at most {USER_MANAGER_STOP_S} s, but the"
            f" grace is {grace_s:.0f} s; install a system unit, or raise TimeoutStopSec= of"
            " user@.service"
        )
    return warnings


def _user_units() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "systemd" / "user"


def _write(place: Path, text: str, *, force: bool) -> None:
    """Write the unit. Raises SupervisorError if another one is there, OSError."""
    if place.exists() and place.read_text() != text and not force:
        raise SupervisorError(
            f"{place}: exists already, and differs",
            hint="add --force to overwrite it; keep your own changes in a drop-in (systemctl edit)",
            code=ExitCode.USAGE,
        )
    place.parent.mkdir(parents=True, exist_ok=True)
    write_durably(place, text.encode(), mode=0o644)


def _reload_systemd(control: list[str]) -> None:
    """Have systemd read its units again. Raises SupervisorError."""
    done = subprocess.run([*control, "daemon-reload"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SupervisorError(
            f"systemctl daemon-reload: {done.stderr.strip()}",
            hint=f"the unit is written; now type `{' '.join(control)} daemon-reload` yourself",
        )
