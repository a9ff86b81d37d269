"""The unit that is written, and what is refused before."""

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from supervisor.cli.commands import systemd as command
from supervisor.cli.commands.systemd import systemd_command
from supervisor.cli.submit.unit import (
    SYSTEM_TEMPLATE,
    USER_TEMPLATE,
    Unit,
    template_text,
    unit_text,
)
from supervisor.core.vocabulary import ExitCode
from supervisor.errors import SupervisorError

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("place", "unit"),
    [("supervisor@.service", SYSTEM_TEMPLATE), ("user/supervisor@.service", USER_TEMPLATE)],
)
def test_templates_are_not_stale(place: str, unit: Unit) -> None:
    """`systemd/` is what the command would write, with placeholders."""
    assert (ROOT / "systemd" / place).read_text() == template_text(unit)


def test_paths_with_spaces_and_signs_are_quoted() -> None:
    """A space, a percent sign or a dollar in a path arrives unchanged."""
    unit = Unit(
        description="100 % done",
        program=("/opt/my env/bin/supervisor",),
        config="/data/$x/50%.yaml",
        directory="/data/a b",
        grace_s=60.0,
        for_user=False,
        path="/a b:/c",
    )
    lines = unit_text(unit).splitlines()
    assert "Description=100 %% done" in lines
    assert 'ExecStart="/opt/my env/bin/supervisor" run --plain /data/$$x/50%%.yaml' in lines
    assert "WorkingDirectory=/data/a b" in lines
    assert 'Environment="PATH=/a b:/c"' in lines
    assert "TimeoutStopSec=150" in lines


# Characters that no name may bring in: line ends of systemd and of others, escapes, characters that
# change the reading order, and bytes that are no text.
INTRUDERS = ["\n", "\r", "\x00", "\x1b", "\x7f", "\x85", "\u2028", "\u2029", "\u202e", "\udcff"]


@pytest.mark.parametrize("character", INTRUDERS)
@pytest.mark.parametrize("field", ["config", "directory", "path", "program", "mounts", "run_as"])
def test_no_name_becomes_a_line(field: str, character: str) -> None:
    """A name stays within one line, or there is no unit."""
    name = f"/data/a{character}ExecStartPre=!touch pwned"
    unit = Unit("x", ("/bin/s",), "/c.yaml", "/data", 60.0, for_user=False, run_as="me", path="/b")
    with pytest.raises(SupervisorError, match="cannot stand in the file to be written") as caught:
        unit_text(replace(unit, **{field: (name,) if field in ("program", "mounts") else name}))
    assert caught.value.code is ExitCode.CONFIGURATION
    assert character not in caught.value.message


@pytest.mark.parametrize("directory", ["/data/a\\", "/data/a ", "/data/a\\\\"])
def test_a_directory_that_a_unit_cannot_name_is_refused(directory: str) -> None:
    """A backslash at the end would join the next line, a space would be lost."""
    unit = Unit("x", ("/bin/s",), "/c.yaml", directory, 60.0, for_user=False)
    with pytest.raises(SupervisorError, match="backslash or a space"):
        unit_text(unit)


def call(directory: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> Result:
    """`supervisor systemd ...` in a directory, as a user types it."""
    monkeypatch.chdir(directory)
    return CliRunner().invoke(systemd_command, [*words])


def refusal(result: Result) -> SupervisorError:
    """The error of a refused command."""
    assert isinstance(result.exception, SupervisorError), result.output
    return result.exception


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory with a valid configuration."""
    (tmp_path / "config.yaml").write_text("name: unit\ncommand: [sh, -c, exit]\n")
    return tmp_path


def test_print_has_absolute_paths(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The unit does not depend on where or by whom it is read."""
    result = call(folder, monkeypatch, "print", "config.yaml")
    assert result.exit_code == 0, result.exception
    assert f"WorkingDirectory={folder}" in result.stdout
    assert f" run --plain {folder}/config.yaml\n" in result.stdout
    assert "ExecStop=" not in result.stdout
    start = next(x for x in result.stdout.splitlines() if x.startswith("ExecStart="))
    done = subprocess.run(
        [*start.removeprefix("ExecStart=").split()[:4], "--version"],
        cwd="/", env={}, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_print_for_programs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--json` has the name, the text and the warnings."""
    result = call(folder, monkeypatch, "print", "config.yaml", "--json")
    body = json.loads(result.stdout)
    assert body["unit"] == "supervisor@unit.service"
    assert body["text"].startswith("[Unit]\n")
    assert any("resume" in line for line in body["warnings"])


def test_wrong_configuration_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong configuration exits 78, as with `run`."""
    (folder / "config.yaml").write_text("commnad: [true]\n")
    error = refusal(call(folder, monkeypatch, "print", "config.yaml"))
    assert error.code == ExitCode.CONFIGURATION
    assert "commnad" in error.message


def test_what_check_finds_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing command would otherwise fail only at the next boot."""
    (folder / "config.yaml").write_text("name: unit\ncommand: [no-such-program]\n")
    error = refusal(call(folder, monkeypatch, "print", "config.yaml"))
    assert "no-such-program is not found" in error.message


def test_a_place_that_is_read_only_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With ProtectSystem=full the run could not write there, although `run` could."""
    (folder / "config.yaml").write_text("name: unit\ncommand: [sh]\nrun_dir: /etc/runs\n")
    error = refusal(call(folder, monkeypatch, "print", "config.yaml"))
    assert "/etc is read-only" in error.message or "not writable" in error.message


def test_unknown_account_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown account is refused before anything is written."""
    error = refusal(call(folder, monkeypatch, "print", "config.yaml", "--run-as", "no-such-one"))
    assert "no such account" in error.message


def test_install_needs_systemd(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container without systemd the error names a way without a unit."""
    monkeypatch.setattr(command, "BOOTED", folder / "absent")
    error = refusal(call(folder, monkeypatch, "install", "config.yaml"))
    assert "systemd does not run this machine" in error.message


def test_install_for_the_system_needs_root(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`install` names the missing rights before systemd would refuse the unit."""
    monkeypatch.setattr(command, "BOOTED", folder)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    error = refusal(call(folder, monkeypatch, "install", "config.yaml"))
    assert "only root" in error.message


def test_a_unit_that_differs_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second install does not lose an administrator's changes."""
    monkeypatch.setattr(command, "BOOTED", folder)
    monkeypatch.setattr(command, "_reload_systemd", lambda control: None)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "xdg"))
    monkeypatch.delenv("SUDO_UID", raising=False)
    words = ("install", "--user", "config.yaml")
    result = call(folder, monkeypatch, *words)
    assert result.exit_code == 0, result.exception
    place = folder / "xdg" / "systemd" / "user" / "supervisor@unit.service"
    assert f"wrote {place}" in result.stdout
    assert "systemctl --user enable --now supervisor@unit" in result.stdout
    assert call(folder, monkeypatch, *words).exit_code == 0
    place.write_text("[Service]\n")
    assert "differs" in refusal(call(folder, monkeypatch, *words)).message
    assert call(folder, monkeypatch, *words, "--force").exit_code == 0
    assert "ExecStart=" in place.read_text()
