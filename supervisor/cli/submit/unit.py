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
            "# Started after what training needs, and so stopped before that goes: at a shutdown",
            "# the trainer saves while the network and its file systems are still there.",
            "Wants=network-online.target",
            "After=network-online.target remote-fs.target nvidia-persistenced.service",
        ]
    if unit.mounts:
        mounts = " ".join(_word(unit, path) for path in unit.mounts)
        lines += ["# Neither begun on an empty mount point nor unmounted before it has saved."]
        lines += [f"RequiresMountsFor={mounts}"]
    return [
        *lines,
        "# How often to start again is for the run's own budgets (`restart:`), which know progress",
        "# from none; systemd would give up after five quick crashes.",
        "StartLimitIntervalSec=0",
    ]


def _service_section(unit: Unit) -> list[str]:
    command = " ".join(_word(unit, word, in_command=True) for word in unit.program)
    config = _word(unit, unit.config, in_command=True)
    lines = [
        "[Service]",
        "# The daemon says READY, the status line and WATCHDOG; it is a child of the main process,",
        "# the launcher, hence `all`. The trainer is not given the socket.",
        "Type=notify",
        "NotifyAccess=all",
    ]
    if unit.run_as is not None:
        lines += [f"User={_value(unit, unit.run_as)}"]
    lines += [f"WorkingDirectory={_value(unit, _bare(unit.directory))}"]
    if unit.path is not None:
        lines += [
            "# A service has no shell: what the shell had at installation. Other variables go here",
            "# too (CUDA_VISIBLE_DEVICES, HF_HOME), or into `env:` of the configuration.",
            f"Environment={_word(unit, 'PATH=' + unit.path)}",
        ]
    lines += [
        f"ExecStart={command} run --plain {config}",
        "# The daemon is replaced, by the version now installed; training does not notice.",
        f"ExecReload={command} reload {config}",
        "# No ExecStop: SIGTERM is the drain. `supervisor stop` would write down a wish, and a run",
        "# that was stopped by a shutdown would not come back after it.",
        "",
        "# SIGTERM to the launcher alone, which has the trainer save; a SIGTERM to data-loader",
        "# workers makes a trainer fail before it has saved. Whatever outlives it: SIGKILL.",
        "KillMode=mixed",
        "# For a stop that the daemon says nothing about; while it saves it asks for more.",
        f"TimeoutStopSec={int(unit.grace_s) + STOP_MARGIN_S}",
        "# Before it is ready it reads its records, and ends what an earlier one may have left.",
        "TimeoutStartSec=5min",
        "# A frozen daemon is replaced by the launcher within a third of this; at the end of it",
        "# the launcher is frozen itself.",
        "WatchdogSec=3min",
        "",
        "# on-failure takes death by SIGTERM, SIGINT, SIGHUP or SIGPIPE for a success.",
        "Restart=always",
        "RestartSec=5",
        "# Not again: 0 finished, 1 held for a human, 2 wrong command line, 69 another supervisor",
        "# has the run, 75 stopped on request, 78 wrong configuration. Again: 70, and any signal.",
        "RestartPreventExitStatus=0 1 2 69 75 78",
        "# Stopped on request and saved is no failure of the unit.",
        "SuccessExitStatus=75",
        "",
        "# Each attempt gets a cgroup of its own below the unit's: what it starts ends with it,",
        "# and the kernel counts there who was killed for memory.",
        "Delegate=yes",
        *_said_of_delegation(unit),
        "# An OOM kill in the trainer is for the supervisor to judge; the default stops the unit.",
        "OOMPolicy=continue",
    ]
    if not unit.for_user:
        lines += [
            "# The kernel takes the trainer first: the launcher sets it back to 0 for that.",
            "OOMScoreAdjust=-500",
        ]
    lines += [
        "# Checkpoints and logs are for their owner.",
        "UMask=0077",
        "# Data loaders: a process or thread for each worker of each rank, a descriptor for each",
        "# tensor in shared memory. The defaults are for a web server.",
        "TasksMax=infinity",
        "LimitNOFILE=65536",
        "# Pinned host memory, and what RDMA registers.",
        "LimitMEMLOCK=infinity",
        "SyslogIdentifier=supervisor",
    ]
    if not unit.for_user:
        lines += [
            "",
            "# Hardening that a GPU job survives. Not here, each for its reason: NoNewPrivileges,",
            "# and what implies it for a User= (SystemCallFilter, ProtectKernel..., Restrict...):",
            "# the first CUDA call runs the setuid nvidia-modprobe, which makes /dev/nvidia-uvm.",
            "# PrivateDevices hides the GPU; MemoryDenyWriteExecute breaks Triton and other JITs;",
            "# PrivateTmp cuts off CUDA MPS, whose pipe is in /tmp; PrivateIPC would lose NCCL's",
            "# and our memory in /dev/shm at each restart; ProtectControlGroups mounts a /proc of",
            "# its own, which in a container has another boot id than a shell there sees.",
            "ProtectSystem=full",
        ]
    return lines


def _said_of_delegation(unit: Unit) -> list[str]:
    if not unit.for_user:
        return []
    return [
        "# A user manager leaves no mark of that where the launcher could find it.",
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
            hint="call it from a directory with another name; nothing was written",
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
            "# `supervisor systemd install CONFIG` writes this with the paths of your run.",
            f"# By hand: correct the paths (and User=) below, copy it to {where} and say",
            f"#   systemctl{option} daemon-reload",
            f"#   systemctl{option} enable --now supervisor@NAME",
            f"# for a run whose configuration is {unit.config.replace('%i', 'NAME')}.",
            "",
            unit_text(unit),
        ]
    ).replace("%h/.config/train-supervisor/NAME", "~/.config/train-supervisor/NAME")
