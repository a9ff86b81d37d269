"""Which variables that the command names have another value than in the last attempt.

The command line is the same then, and what it does is not: `bash -c 'python train.py --lr $LR'`.
"""

from collections.abc import Mapping

from supervisor.config.model import RunConfig
from supervisor.core.entries.run import VariablesChangedEntry
from supervisor.daemon.look.surroundings.child import read_kept
from supervisor.daemon.look.surroundings.variables import chosen, named_in
from supervisor.rundir.paths import RunPaths


def changed_variables(
    config: RunConfig, paths: RunPaths, environ: Mapping[str, str]
) -> VariablesChangedEntry | None:
    """The variables that changed since the last attempt of which a record is kept.

    None where none is known to have changed. Values are not told. It reads one small file.
    """
    names = named_in([*config.command, *config.env.values()])
    if not names:
        return None
    try:
        kept = [path.stem for path in paths.surroundings.iterdir() if path.suffix == ".json"]
    except OSError:
        return None
    numbers = [int(name) for name in kept if name.isdecimal()]
    before = read_kept(paths.surroundings, max(numbers)) if numbers else None
    if before is None:
        return None
    was = {**before.shown, **before.hidden}
    shown, hidden = chosen({**environ, **config.env}, names)
    is_now = {**shown, **hidden}
    # A record without the variable may be of a version that did not look at it.
    changed = tuple(name for name in sorted(names & was.keys()) if was[name] != is_now.get(name))
    if not changed:
        return None
    return VariablesChangedEntry(names=changed, since=before.attempt)
