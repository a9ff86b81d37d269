"""What `supervisor check` says of PyPI's other `supervisor` in the Python that trains."""

import sys
from pathlib import Path

import pytest

from supervisor.cli.preflight.finding import Level
from supervisor.cli.preflight.other_supervisor import beside_the_trainer
from supervisor.config.model import RunConfig

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """A virtual environment without packages."""
    (tmp_path / "lib" / f"python{VERSION}" / "site-packages").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    home = Path(sys.executable).resolve().parent
    (tmp_path / "pyvenv.cfg").write_text(f"home = {home}\nversion = {VERSION}.0\n")
    tool = tmp_path / "bin" / "trl"
    tool.write_text(f"#!{tmp_path}/bin/python\n")
    tool.chmod(0o755)
    return tmp_path


def install(venv: Path, *packages: str) -> None:
    """Put the metadata of packages there."""
    for package in packages:
        (venv / "lib" / f"python{VERSION}" / "site-packages" / f"{package}.dist-info").mkdir()


@pytest.mark.parametrize("program", ["python", "trl"])
def test_the_process_manager_alone(venv: Path, program: str) -> None:
    """It is told, also for a console script; the hook does not mind."""
    install(venv, "supervisor-4.3.0", "torch-2.13.0")
    config = RunConfig.model_validate({"command": [str(venv / "bin" / program), "train.py"]})
    (finding,) = beside_the_trainer(config)
    assert finding.level is Level.WARN
    assert "the process manager `supervisor` 4.3.0" in finding.text
    assert "Adapters to training libraries work all the same" in finding.text


def test_both_in_one_environment(venv: Path) -> None:
    """Then one has overwritten the other's files."""
    install(venv, "supervisor-4.3.0", "train_supervisor-0.1.0")
    config = RunConfig.model_validate({"command": [str(venv / "bin" / "python"), "train.py"]})
    (finding,) = beside_the_trainer(config)
    assert "overwrite each other's files" in finding.text


@pytest.mark.parametrize("packages", [(), ("train_supervisor-0.1.0",), ("supervisor_x-1.0",)])
def test_nothing_is_said_without_it(venv: Path, packages: tuple[str, ...]) -> None:
    """Ours alone, or a package of a similar name, is no collision."""
    install(venv, *packages)
    config = RunConfig.model_validate({"command": [str(venv / "bin" / "python"), "train.py"]})
    assert list(beside_the_trainer(config)) == []


def test_nothing_is_said_of_another_program() -> None:
    """A program that is no Python, or is not there."""
    for command in (["bash", "train.sh"], ["/no/such/python", "train.py"]):
        config = RunConfig.model_validate({"command": command})
        assert list(beside_the_trainer(config)) == []
