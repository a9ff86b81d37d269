"""The configuration as daemons read it back: their own version's, and a later version's."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from supervisor.config.kept import read_kept
from supervisor.config.model import RunConfig


def kept(tmp_path: Path, **more: Any) -> tuple[RunConfig, dict[str, Any]]:
    """A configuration, and the document in which it is kept."""
    config = RunConfig(command=("python", "x.py"), **more).resolved(tmp_path)
    return config, json.loads(config.to_json())


def test_its_own_comes_back(tmp_path: Path) -> None:
    """A kept configuration is read back equal, and no key is ignored."""
    config, values = kept(tmp_path, grace="7s")
    assert read_kept(json.dumps(values).encode()) == (config, ())


def test_keys_of_a_later_version_are_passed_over_by_name(tmp_path: Path) -> None:
    """Unknown sections, and unknown keys of known sections, are ignored by name."""
    config, values = kept(tmp_path)
    values["telemetry"] = {"file": "/m.prom", "port": None}
    values["checkpoints"]["guard"] = {"77": "hold"}
    found, unknown = read_kept(json.dumps(values).encode())
    assert found == config
    assert set(unknown) == {"telemetry", "checkpoints.guard"}


def test_exit_codes_come_back_as_numbers(tmp_path: Path) -> None:
    """Keys of JSON are text; elsewhere text is no exit code."""
    config, values = kept(tmp_path, restart={"exit_codes": {137: "free", 3: "hold"}})
    assert values["restart"]["exit_codes"] == {"137": "free", "3": "hold"}
    found, _ = read_kept(json.dumps(values).encode())
    assert found.restart.exit_codes == {137: "free", 3: "hold"}
    assert found == config


def test_without_exit_codes_the_version_before_can_read_it(tmp_path: Path) -> None:
    """It does not know the key and refuses it; an upgrade may be taken back under a run."""
    _, values = kept(tmp_path)
    assert "exit_codes" not in values["restart"]


def test_what_cannot_be_understood_is_still_refused(tmp_path: Path) -> None:
    """A known key with another version's value has no meaning here, so it is refused."""
    _, values = kept(tmp_path)
    values["metrics"] = {}
    values["grace"] = ["7s"]
    with pytest.raises(ValidationError, match="grace"):
        read_kept(json.dumps(values).encode())
    with pytest.raises(ValueError, match="JSON"):
        read_kept(b"{")


def test_a_check_that_is_newer_than_the_run_is_left_out(tmp_path: Path) -> None:
    """A run whose pattern names another group goes on after an upgrade; a new run may not."""
    _, values = kept(tmp_path)
    values["watch"]["progress"] = r"step (?P<step>\d+) acc (?P<acc>\S+)"
    data = json.dumps(values).encode()
    found, unknown = read_kept(data)
    assert (found.watch.progress, unknown) == (values["watch"]["progress"], ())
    with pytest.raises(ValidationError, match="a group named acc"):
        RunConfig.model_validate_json(data)
    values["watch"]["progress"] = "step"
    with pytest.raises(ValidationError, match="no group named step"):
        read_kept(json.dumps(values).encode())
    values["watch"]["progress"] = r"(?P<step>\d+)/(?P<total>\d+) (?P<epoch>.)(?P<loss>.)"
    assert RunConfig.model_validate_json(json.dumps(values)).watch.progress is not None
