"""Whether messages and pings can be sent; no message is sent for that."""

from collections.abc import Iterator

from supervisor.cli.preflight.finding import Finding, Level
from supervisor.config.model import RunConfig
from supervisor.notify.delivery import DEADLINE_S, NO_ANSWER, ask, label


def notify_targets(config: RunConfig) -> Iterator[Finding]:
    """A finding for each target that apprise cannot use; one if all can be used."""
    targets = config.notify.to
    if not targets:
        return
    order = {"targets": dict(enumerate(targets)), "check": True, "deadline_s": DEADLINE_S}
    try:
        answers = ask(order)
    except OSError as error:
        answers = dict.fromkeys(range(len(targets)), str(error.strerror))
    wrong = {n: answers.get(n, NO_ANSWER) for n in range(len(targets))}
    for number, why in wrong.items():
        if why is not None:
            hint = "`supervisor notify CONFIG` sends a test message; the run goes on without it"
            yield Finding("notify", Level.WARN, f"{label(targets, number)}: {why}", hint)
    if not any(wrong.values()):
        known = f"{len(targets)} target{'s' if len(targets) > 1 else ''}"
        yield Finding("notify", Level.OK, f"{known}; `supervisor notify` sends a test message")
