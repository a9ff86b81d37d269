"""The configuration as `supervisor run` keeps it in the run directory, for each daemon to read."""

import json
from typing import Any

from pydantic import ValidationError

from supervisor.config.model import RunConfig


def read_kept(data: bytes) -> tuple[RunConfig, tuple[str, ...]]:
    """The configuration, and those of its keys that are passed over: this version has none such.

    An upgrade that is taken back leaves them: all keys are kept, set or not. What people write is
    checked when a run begins; a daemon that refused would leave training unwatched. Raises
    ValueError for what cannot be read all the same.
    """
    try:
        return RunConfig.model_validate_json(data), ()
    except ValidationError as error:
        unknown = [one["loc"] for one in error.errors() if one["type"] == "extra_forbidden"]
        if not unknown:
            raise
    values = json.loads(data)
    for *sections, key in unknown:
        within: Any = values
        for section in sections:
            within = within[section]
        del within[key]
    config = RunConfig.model_validate_json(json.dumps(values))
    return config, tuple(".".join(map(str, place)) for place in unknown)
