"""The batch script's content; and the scripts in slurm/ are the same."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from supervisor.cli.submit.batch_script import (
    CHAIN_TEMPLATE,
    TEMPLATE,
    BatchScript,
    script_text,
    template_text,
)
from supervisor.cli.submit.slurm_options import option_value, time_limit_problem
from supervisor.core.vocabulary import ExitCode
from supervisor.errors import SupervisorError

CHECKOUT = Path(__file__).resolve().parents[2]
SCRIPT = BatchScript(
    name="gpt-docs",
    program=("/opt/my env/bin/python", "-P", "-m", "supervisor"),
    config="/home/me/it's.yaml",
    directory="/home/me/my runs",
    log="/home/me/my runs/slurm-%j.log",
    grace_s=90.5,
)


@pytest.mark.parametrize(("script", "name"), [(TEMPLATE, "train"), (CHAIN_TEMPLATE, "chain")])
def test_scripts_to_copy_are_what_is_generated(script: BatchScript, name: str) -> None:
    """`slurm/` always equals what `supervisor sbatch` would submit."""
    assert (CHECKOUT / "slurm" / f"{name}.sbatch").read_text() == template_text(script)


def test_directives() -> None:
    """The lead follows the grace, words are quoted as sbatch reads them, directives come first."""
    lines = script_text(SCRIPT).splitlines()
    assert lines[0] == "#!/bin/bash"
    directives = [line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH")]
    assert directives == [
        "--job-name=gpt-docs",
        '--chdir="/home/me/my runs"',
        "--requeue",
        '--output="/home/me/my runs/slurm-%j.log"',
        "--open-mode=append",
        "--signal=B:USR1@121",
    ]


@pytest.mark.parametrize("character", ["\n", "\r", "\x0b", "\x85", "\u2028", "\u202e", "\udcff"])
@pytest.mark.parametrize("field", ["config", "directory", "log", "program", "options"])
def test_no_name_becomes_a_line(field: str, character: str) -> None:
    """A name cannot add a directive or a command."""
    name = f"/data/a{character}#SBATCH --wrap=true"
    value: object = (name,) if field in ("program", "options") else name
    with pytest.raises(SupervisorError, match="cannot stand in the file to be written") as caught:
        script_text(replace(SCRIPT, **{field: value}))  # type: ignore[arg-type]
    assert caught.value.code is ExitCode.CONFIGURATION


def test_a_log_that_slurm_would_not_number_is_refused() -> None:
    """After a backslash `%j` is not replaced by the job's number."""
    with pytest.raises(SupervisorError, match="backslash"):
        script_text(replace(SCRIPT, log="/home/a\\b/slurm-%j.log"))


def test_the_script_becomes_the_supervisor(tmp_path: Path) -> None:
    """bash becomes the supervisor by exec, so SLURM signals it; all words arrive whole."""
    program = tmp_path / "my program"
    program.write_text('#!/bin/sh\necho "pid $$"\nprintf "<%s>" "$@"\n')
    program.chmod(0o755)
    text = script_text(replace(SCRIPT, program=(str(program), "-m")))
    shell = subprocess.Popen(["bash"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    said, _ = shell.communicate(text)
    assert said == f"pid {shell.pid}\n<-m><run><--plain></home/me/it's.yaml>"


def test_a_chain_has_no_requeue() -> None:
    """A chain runs one job at a time, and never two that want the run."""
    text = script_text(replace(SCRIPT, chain=7))
    assert "#SBATCH --array=1-7%1\n" in text
    assert "#SBATCH --no-requeue\n" in text
    assert "#SBATCH --requeue" not in text


def test_options_of_the_user_come_last() -> None:
    """Later lines win in sbatch, so the site's and the user's options override ours."""
    options = ("-p", "gpu", "--time=1:00:00", "--comment=two words", "--signal=B:TERM@60")
    lines = [x for x in script_text(replace(SCRIPT, options=options)).splitlines() if "SBATCH" in x]
    assert lines[-4:] == [
        "#SBATCH -p gpu",
        "#SBATCH --time=1:00:00",
        '#SBATCH "--comment=two words"',
        "#SBATCH --signal=B:TERM@60",
    ]


def test_option_values() -> None:
    """All four ways to write an option are read; the last occurrence counts."""
    for words in (["--time=5"], ["--time", "5"], ["-t5"], ["-t", "5"], ["-t", "9", "--time=5"]):
        assert option_value(tuple(words), "--time", "-t") == "5"
    assert option_value(("--test-only",), "--time", "-t") is None


def test_a_time_limit_within_the_lead_is_warned_of() -> None:
    """A limit below the lead brings a warning: SLURM would signal the job at once, for ever."""
    assert time_limit_problem(("--time=3:00",), 150) is not None
    assert time_limit_problem(("--time=24:00:00",), 150) is None
    assert time_limit_problem(("-p", "gpu"), 150) is None
    assert time_limit_problem(("--time=UNLIMITED",), 150) is None
