"""The text of a systemd unit for a run, each line with its reason. It writes nothing.

`systemd/` holds the units that an administrator fills in; a test compares them with
`template_text`.
"""

from dataclasses import dataclass

from supervisor.cli.submit.single_line import shown, single_line
from supervisor.core.vocabulary import ExitCode
from supervisor.errors import SupervisorError

# Seconds that a drain takes besides the grace: it reads checkpoints and copies a snapshot to disk.
STOP_MARGIN_S = 90


@dataclass(frozen=True, slots=True)
class Unit:
    """What differs between two units; paths are absolute, or systemd specifiers."""

    description: str
    program: tuple[str, ...]
    """The `supervisor` command of this installation, word by word."""
    config: str
    directory: str
    """The run's working directory: relative paths of the configuration begin there."""
    grace_s: float
    for_user: bool
    run_as: str | None = None
    path: str | None = None
    mounts: tuple[str, ...] = ()
    has_specifiers: bool = False


def unit_text(unit: Unit) -> str:
    """The unit file. Raises SupervisorError for a name that cannot stand in one."""
    return "\n".join([*_unit_section(unit), "", *_service_section(unit), "", *_install(unit), ""])


def _unit_section(unit: Unit) -> list[str]:
    lines = [
        "[Unit]",
        f"Description={_value(unit, unit.description)}",
        "Documentation=man:systemd.service(5)",
    ]
    if not unit.for_user:
        lines += [
            "# The unit starts after what training needs, so systemd also stops it before that: at",
            "# a shutdown the trainer saves while the network and its file systems still work.",
            "Wants=network-online.target",
            "After=network-online.target remote-fs.target nvidia-persistenced.service",
        ]
    if unit.mounts:
        mounts = " ".join(_word(unit, path) for path in unit.mounts)
        lines += ["# The run starts only with its mounts, and they stay until it has saved."]
        lines += [f"RequiresMountsFor={mounts}"]
    return [
        *lines,
        "# The run's own budgets (`restart:`) decide how often to start again, since they know of",
        "# progress; systemd would give up after five quick crashes.",
        "StartLimitIntervalSec=0",
    ]


def _service_section(unit: Unit) -> list[str]:
    command = " ".join(_word(unit, word, in_command=True) for word in unit.program)
    config = _word(unit, unit.config, in_command=True)
    lines = [
        "[Service]",
        "# The daemon sends READY, the status line and WATCHDOG. It is a child of the main",
        "# process, the launcher, so `all` is needed. The trainer does not get the socket.",
        "Type=notify",
        "NotifyAccess=all",
    ]
    if unit.run_as is not None:
        lines += [f"User={_value(unit, unit.run_as)}"]
    lines += [f"WorkingDirectory={_value(unit, _bare(unit.directory))}"]
    if unit.path is not None:
        lines += [
            "# A service has no shell, so this is the PATH at installation. Other variables",
            "# (CUDA_VISIBLE_DEVICES, HF_HOME) go here too, or into `env:` of the configuration.",
            f"Environment={_word(unit, 'PATH=' + unit.path)}",
        ]
    lines += [
        f"ExecStart={command} run --plain {config}",
        "# A reload replaces the daemon by the version now installed; training goes on.",
        f"ExecReload={command} reload {config}",
        "# There is no ExecStop, since SIGTERM already makes the run save and end. `supervisor",
        "# stop` would stay on record, and after a shutdown the run would not start again.",
        "",
        "# SIGTERM goes only to the launcher, which has the trainer save. A SIGTERM to data-loader",
        "# workers makes a trainer fail before it has saved. What is left in the end gets SIGKILL.",
        "KillMode=mixed",
        "# The limit for a stop while the daemon is silent; during a save it asks for more time.",
        f"TimeoutStopSec={int(unit.grace_s) + STOP_MARGIN_S}",
        "# Before READY the daemon reads its records, and ends what an earlier one may have left.",
        "TimeoutStartSec=5min",
        "# The launcher replaces a frozen daemon within a third of this time. If the time runs",
        "# out, the launcher itself is frozen.",
        "WatchdogSec=3min",
        "",
        "# Not on-failure: it takes a death by SIGTERM, SIGINT, SIGHUP or SIGPIPE for a success.",
        "Restart=always",
        "RestartSec=5",
        "# No start again after: 0 finished, 1 held for a human, 2 wrong command line, 69 another",
        "# supervisor has the run, 75 stopped on request, 78 wrong configuration. After 70 and any",
        "# signal the unit starts again.",
        "RestartPreventExitStatus=0 1 2 69 75 78",
        "# A stop on request is no failure of the unit.",
        "SuccessExitStatus=75",
        "",
        "# Each attempt gets a cgroup of its own below the unit's: all its processes end with it,",
        "# and the kernel counts there which of them it killed for memory.",
        "Delegate=yes",
        *_said_of_delegation(unit),
        "# The supervisor judges an OOM kill in the trainer; the default would stop the unit.",
        "OOMPolicy=continue",
    ]
    if not unit.for_user:
        lines += [
            "# The launcher sets the trainer's score back to 0, so that the kernel kills the",
            "# trainer first when memory is short.",
            "OOMScoreAdjust=-500",
        ]
    lines += [
        "# Only the owner may read checkpoints and logs.",
        "UMask=0077",
        "# Data loaders need a process or thread for each worker of each rank, and a descriptor",
        "# for each tensor in shared memory. systemd's defaults suit a web server.",
        "TasksMax=infinity",
        "LimitNOFILE=65536",
        "# For pinned host memory, and memory that RDMA registers.",
        "LimitMEMLOCK=infinity",
        "SyslogIdentifier=supervisor",
    ]
    if not unit.for_user:
        lines += [
            "",
            "# The hardening that a GPU job survives. These are left out: NoNewPrivileges, and",
            "# what implies it for a User= (SystemCallFilter, ProtectKernel..., Restrict...),",
            "# since the first CUDA call runs the setuid nvidia-modprobe, which makes",
            "# /dev/nvidia-uvm. PrivateDevices hides the GPU; MemoryDenyWriteExecute breaks Triton",
            "# and other JITs; PrivateTmp cuts off CUDA MPS, whose pipe is in /tmp; PrivateIPC",
            "# would lose the memory of NCCL and the supervisor in /dev/shm at each restart;",
            "# ProtectControlGroups mounts a /proc of its own, which in a container has another",
            "# boot id than a shell there sees.",
            "ProtectSystem=full",
        ]
    return lines


def _said_of_delegation(unit: Unit) -> list[str]:
    if not unit.for_user:
        return []
    return [
        "# Tells the launcher of the delegation, of which a user manager leaves no mark.",
        "Environment=SUPERVISOR_CGROUP=delegated",
    ]


def _install(unit: Unit) -> list[str]:
    return ["[Install]", f"WantedBy={'default' if unit.for_user else 'multi-user'}.target"]


def _value(unit: Unit, text: str) -> str:
    """A value that systemd takes literally, except for `%` specifiers."""
    text = single_line(text, "the name")
    return text if unit.has_specifiers else text.replace("%", "%%")


def _bare(directory: str) -> str:
    """A directory for `WorkingDirectory=`, which takes no quotes. Raises SupervisorError.

    systemd.syntax(7): a backslash at the end joins the next line, and spaces there are dropped.
    """
    if directory.endswith("\\") or directory != directory.strip():
        raise SupervisorError(
            f"the directory {shown(directory)} ends in a backslash or a space, which a unit's"
            " WorkingDirectory= cannot name",
            hint="nothing was written; call the command from a directory with another name",
            code=ExitCode.CONFIGURATION,
        )
    return directory


def _word(unit: Unit, text: str, *, in_command: bool = False) -> str:
    """One word, quoted where needed (systemd.service(5), COMMAND LINES)."""
    text = _value(unit, text)
    if in_command:
        text = text.replace("$", "$$")
    if text and not any(character in " \t\"'\\;" for character in text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


SYSTEM_TEMPLATE = Unit(
    description="Training run %i (supervisor)",
    program=("/opt/train-supervisor/bin/supervisor",),
    config="/etc/train-supervisor/%i.yaml",
    directory="/srv/training/%i",
    grace_s=120.0,
    for_user=False,
    run_as="training",
    has_specifiers=True,
)
USER_TEMPLATE = Unit(
    description="Training run %i (supervisor)",
    program=("%h/.local/bin/supervisor",),
    config="%h/.config/train-supervisor/%i.yaml",
    directory="%h",
    grace_s=120.0,
    for_user=True,
    has_specifiers=True,
)


def template_text(unit: Unit) -> str:
    """A unit to be filled in by hand: one instance a run."""
    where = "/etc/systemd/system/" if not unit.for_user else "~/.config/systemd/user/"
    option = " --user" if unit.for_user else ""
    return "\n".join(
        [
            "# `supervisor systemd install CONFIG` writes this unit with the paths of your run.",
            "# To do it by hand: correct the paths (and User=) below, copy the unit to",
            f"# {where} and type",
            f"#   systemctl{option} daemon-reload",
            f"#   systemctl{option} enable --now supervisor@NAME",
            f"# for a run whose configuration is {unit.config.replace('%i', 'NAME')}.",
            "",
            unit_text(unit),
        ]
    ).replace("%h/.config/train-supervisor/NAME", "~/.config/train-supervisor/NAME")
