"""What a daemon warns of as it starts: `status` shows these as long as it lives."""

import supervisor
from supervisor.daemon.run import Run
from supervisor.system.journal_stream import WARNING


def first_warnings(run: Run, unknown: tuple[str, ...], no_rules: str | None) -> tuple[str, ...]:
    """The warnings, said on the console where a person has to act.

    `unknown`: keys of the configuration that this version does not know. `no_rules`: why the user's
    own rules cannot be read.
    """
    found = []
    if not run.runtime.is_in_memory:
        found.append(
            f"heartbeats are on disk ({run.runtime.root}): no private directory in /dev/shm"
        )
    if unknown:
        keys = ", ".join(unknown)
        run.journal.log.warning("unknown_configuration", keys=unknown)
        found.append(
            f"this version ({supervisor.__version__}) ignores keys of the configuration that it"
            f" does not know: {keys}"
        )
        run.console.say(found[-1], WARNING)
    if no_rules is not None:
        run.journal.log.warning("no_user_rules", why=no_rules)
        found.append(
            f"your own rules cannot be used, so the built-in ones stand alone: {no_rules};"
            f" `supervisor reload {run.paths.run_dir}` reads them anew"
        )
        run.console.say(found[-1], WARNING)
    return tuple(found)
