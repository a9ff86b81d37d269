"""The text of a SLURM batch script for a run, each line with its reason. It submits nothing.

`slurm/` holds the scripts that a user fills in by hand; a test compares them with `template_text`.
"""

import math
import re
import shlex
from dataclasses import dataclass

from supervisor.cli.submit.single_line import shown, single_line
from supervisor.core.vocabulary import ExitCode
from supervisor.errors import SupervisorError

# Seconds besides the grace: the trainer hears the signal at once, but finishes its step first.
LEAD_MARGIN_S = 30
CHAIN_LENGTH = 10


@dataclass(frozen=True, slots=True)
class BatchScript:
    """What differs between two scripts; paths are absolute, or shell variables."""

    name: str
    program: tuple[str, ...]
    """The `supervisor` command of this installation, word by word."""
    config: str
    directory: str | None
    """The run's working directory: relative paths of the configuration begin there."""
    log: str
    grace_s: float
    signal: str = "USR1"
    chain: int | None = None
    """How many jobs follow each other, for sites that do not allow requeues."""
    options: tuple[str, ...] = ()
    """The user's options for sbatch; they come last in the script, and win."""
    has_variables: bool = False

    @property
    def lead_s(self) -> int:
        """How long before the time limit the signal has to come."""
        return math.ceil(self.grace_s) + LEAD_MARGIN_S


def script_text(script: BatchScript) -> str:
    """The batch script. Raises SupervisorError for a name that cannot stand in one."""
    return "\n".join([*_directives(script), "", *_body(script), ""])


def _directives(script: BatchScript) -> list[str]:
    lines = [f"#SBATCH --job-name={_option(script.name)}"]
    if script.directory is not None:
        lines += [
            "# Relative paths of the configuration begin here.",
            f"#SBATCH --chdir={_option(script.directory)}",
        ]
    if script.chain is None:
        lines += [
            "# After a preemption, its time limit or the loss of its node, the job waits in the",
            "# queue again under the same id, and resumes. After the time limit the supervisor",
            "# asks for the requeue; SLURM allows it only with this line or the site's",
            "# JobRequeue=1.",
            "#SBATCH --requeue",
        ]
    else:
        lines += [
            "# One job after another (%1); each goes on where the job before had saved. Once the",
            "# run is finished, the remaining jobs end at once. There is no requeue: a requeued",
            "# job and the next job of the chain would both want the run.",
            f"#SBATCH --array=1-{script.chain}%1",
            "#SBATCH --no-requeue",
        ]
    lines += [
        "# The lines that the supervisor needs. Without `append` SLURM empties the log at a",
        "# requeue.",
        f"#SBATCH --output={_option(_pattern(script.log))}",
        "#SBATCH --open-mode=append",
        f"# The signal to save and end. It comes the grace ({script.grace_s:g} s) and"
        f" {LEAD_MARGIN_S} s before the time limit.",
        "# With B: it goes only to this script's process, which is the supervisor; without B: only",
        "# to tasks of srun. At a preemption it comes only if the site has set",
        "# preempt_send_user_signal, which `supervisor check` reports. SLURM may send the signal a",
        "# minute early, which does no harm.",
        f"#SBATCH --signal=B:{script.signal}@{script.lead_s}",
    ]
    if script.options:
        lines += ["# The options that were given to `supervisor sbatch` after `--`."]
        lines += [f"#SBATCH {word}" for word in _lines_of(script.options)]
    return ["#!/bin/bash", *lines]


def _body(script: BatchScript) -> list[str]:
    if script.has_variables:
        config, program = script.config, " ".join(script.program)
    else:
        # Quotes protect a line break from the shell. sbatch reads the script line by line before
        # the shell does, and knows no such quotes.
        config = shlex.quote(single_line(script.config, "the path"))
        program = shlex.join([single_line(word, "the path") for word in script.program])
    return [
        f"CONFIG={config}",
        "",
        "# Why exec: SLURM signals this process but none of its children. When this process ends,",
        "# SLURM kills the rest of the job. A supervisor below a shell would be killed unsaved.",
        f'exec {program} run --plain "$CONFIG"',
    ]


def _lines_of(options: tuple[str, ...]) -> list[str]:
    """The options, one a line, each with its value: `-p gpu`, `--time=1:00:00`."""
    lines: list[str] = []
    for word in options:
        if lines and not word.startswith("-"):
            lines[-1] += f" {_option(word)}"
        else:
            lines.append(_option(word))
    return lines


def _option(text: str) -> str:
    """A word as sbatch reads it in a script: it knows quotes and backslashes, but no shell."""
    text = single_line(text, "the name")
    if re.fullmatch(r"[^\s\"'\\#]+", text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _pattern(log: str) -> str:
    """The name of a log. Raises SupervisorError for a name with a backslash.

    sbatch(1), FILENAME PATTERN: a backslash turns the replacements off, `%j` among them.
    """
    if "\\" in log:
        raise SupervisorError(
            f"the log {shown(log)} contains a backslash, so SLURM would not fill in the job's"
            " number",
            hint="nothing was submitted; choose a run_dir without a backslash",
            code=ExitCode.CONFIGURATION,
        )
    return log


TEMPLATE = BatchScript(
    name="train",
    program=("supervisor",),
    config="configs/train.yaml",
    directory=None,
    log="slurm-%j.log",
    grace_s=120.0,
    has_variables=True,
)
CHAIN_TEMPLATE = BatchScript(
    name="train",
    program=("supervisor",),
    config="configs/train.yaml",
    directory=None,
    log="slurm-%A_%a.log",
    grace_s=120.0,
    chain=CHAIN_LENGTH,
    has_variables=True,
)
_RESOURCES = (
    "# What your site needs. Set a time limit well above the lead of the signal below.",
    "##SBATCH --partition=gpu",
    "##SBATCH --gres=gpu:1",
    "##SBATCH --cpus-per-task=8",
    "##SBATCH --mem=64G",
    "##SBATCH --time=24:00:00",
)


def template_text(script: BatchScript) -> str:
    """A script to be filled in by hand."""
    first, rest = script_text(script).split("\n", 1)
    name = "chain" if script.chain else "train"
    head = [
        first,
        "# One training run as a SLURM job. `supervisor sbatch CONFIG` writes this script with the",
        "# lead that the run's grace needs, and submits it. To do it by hand: copy the script,",
        "# correct CONFIG and the lines for your site, and type this in the directory where",
        f"# relative paths begin: sbatch {name}.sbatch",
        *_RESOURCES,
        "",
    ]
    return "\n".join(head) + rest
