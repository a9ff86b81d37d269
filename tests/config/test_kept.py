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
    values["metrics"] = {"file": "/m.prom", "port": None}
    values["restart"]["exit_codes"] = {"77": "hold"}
    found, unknown = read_kept(json.dumps(values).encode())
    assert found == config
    assert set(unknown) == {"metrics", "restart.exit_codes"}


def test_what_cannot_be_understood_is_still_refused(tmp_path: Path) -> None:
    """A known key with another version's value has no meaning here, so it is refused."""
    _, values = kept(tmp_path)
    values["metrics"] = {}
    values["grace"] = ["7s"]
    with pytest.raises(ValidationError, match="grace"):
        read_kept(json.dumps(values).encode())
    with pytest.raises(ValueError, match="JSON"):
        read_kept(b"{")
