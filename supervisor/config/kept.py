"""Reads the copy of the configuration that `supervisor run` keeps for the daemon."""

import json
from typing import Any

from pydantic import ValidationError

from supervisor.config.model import RunConfig
from supervisor.config.sections import KEPT


def read_kept(data: bytes) -> tuple[RunConfig, tuple[str, ...]]:
    """The configuration, and the names of its keys that this version does not know.

    Unknown keys appear after a downgrade, since `run` writes all keys, set or not. The daemon
    passes them over: if it refused, training would go on unwatched. Users' mistakes were found when
    the run began. A check that may be newer than the run (other groups in `watch.progress`) is left
    out. Raises ValueError where the rest cannot be read either.
    """
    try:
        return RunConfig.model_validate_json(data, context=KEPT), ()
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
    config = RunConfig.model_validate_json(json.dumps(values), context=KEPT)
    return config, tuple(".".join(map(str, place)) for place in unknown)
