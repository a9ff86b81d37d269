"""Draws docs/states.md from the transition table, so that page and code cannot disagree."""

from supervisor.core.table import TRANSITIONS, Transition
from supervisor.core.vocabulary import TERMINAL, RunState

HEADER = """# States of a run

Made from `supervisor/core/table.py` by `make docs`; a test fails when this page is stale. If an
event arrives under a condition for which the table has no row, it is refused and nothing happens.
Final states answer no event: the supervisor exits in them.

| state | what it means |
|---|---|
"""

MEANING = {
    RunState.LAUNCHING: "nothing runs yet: checkpoints are read, or the command is being started",
    RunState.RUNNING: "an attempt runs and is watched",
    RunState.DRAINING: "a stop was asked for: the trainer saves, or its end is being judged",
    RunState.KILLING: "the supervisor is ending an attempt: stacks, SIGTERM, SIGKILL",
    RunState.BACKOFF: "a failure without durable progress: a pause comes before the next attempt",
    RunState.WAITING: "the run waits until a cause clears by itself (disk space, a file system)",
    RunState.HELD: "final until `supervisor resume`: a human has to look (exit 1, or 78)",
    RunState.STUCK: "final until `supervisor resume`: a process survives SIGKILL (exit 1)",
    RunState.COMPLETED: "final: the run is finished (exit 0)",
    RunState.PREEMPTED: "final for now: stopped on request, the next `run` goes on (exit 75)",
    RunState.STOPPED: "final until `supervisor resume`: stopped by `supervisor stop` (exit 75)",
}


def states_page() -> str:
    """The whole page in Markdown, with a Mermaid diagram."""
    lines = [HEADER.rstrip("\n")]
    lines += [f"| `{state}` | {MEANING[state]} |" for state in RunState]
    lines += ["", "```mermaid", "stateDiagram-v2", "    [*] --> launching"]
    lines += _arrows()
    lines += [f"    {state} --> [*]" for state in RunState if state in TERMINAL]
    lines += ["```", "", "| from | event | condition | to | why |", "|---|---|---|---|---|"]
    lines += [_row(transition) for transition in TRANSITIONS]
    return "\n".join(lines) + "\n"


def _arrows() -> list[str]:
    labels: dict[tuple[str, str], list[str]] = {}
    for row in TRANSITIONS:
        if row.source is not None and row.target is not None and row.source is not row.target:
            names = labels.setdefault((row.source.value, row.target.value), [])
            if row.condition not in names:
                names.append(row.condition)
    return [
        f"    {source} --> {end}: {' / '.join(names)}" for (source, end), names in labels.items()
    ]


def _row(row: Transition) -> str:
    source = "any other" if row.source is None else f"`{row.source}`"
    end = "stays" if row.target is None else f"`{row.target}`"
    return f"| {source} | {row.event.__name__} | {row.condition} | {end} | {row.why} |"


if __name__ == "__main__":
    print(states_page(), end="")
