"""Wraps a labelled log in what a real run prints around it; the label stays true.

`wrap1`: normal lines before, and what libraries print at exit. `wrap2`: also watchdogs of peers,
and torchrun's table. `wrap2b`: also one or two steps more by peers, before they notice. `wrap3`:
`wrap1` with the labels that a launcher puts before each line. The same seed gives the same text.
"""

import random

from benchmarks.labelled_logs import LabelledLog
from benchmarks.normal_lines import STEP_STYLES, beginning, ending, training
from benchmarks.peers_words import launcher_words, watchdogs

PLAIN = "plain"
WRAPPINGS = (PLAIN, "wrap1", "wrap2", "wrap2b", "wrap3")
# A peer's watchdog is a failure: it would make a healthy log an ill one.
HEALTHY_WRAPPINGS = (PLAIN, "wrap1", "wrap3")
STEPS = (200, 2000)
SEED = 1


def wrapped(log: LabelledLog, wrapping: str, *, seed: int = SEED) -> str:
    """The log's text in one of `WRAPPINGS`; all of them have the same lines in front."""
    body = log.text()
    if wrapping == PLAIN:
        return body
    choice = random.Random(f"{seed}/{log.id}")
    style = choice.choice(STEP_STYLES)
    last, total = choice.randint(*STEPS), choice.randint(9000, 90000)
    before = beginning(choice, log.phase)
    if log.phase == "run":
        before += training(choice, style, 1, last, total)
    after = ending(choice)
    body = body if body.endswith("\n") else body + "\n"
    if wrapping == "wrap3":
        return _labelled(choice, before, body, after)
    if wrapping == "wrap1":
        return before + body + after
    peers = watchdogs(choice)
    if wrapping == "wrap2b" and log.phase == "run":
        peers = style.steps(last + 1, last + choice.randint(1, 2), total) + "\n" + peers
    return before + body + peers + launcher_words(choice, body) + after


def _labelled(choice: random.Random, before: str, body: str, after: str) -> str:
    launcher = choice.choice(LAUNCHERS)
    rank = choice.randint(0, 7)
    lines = [(0, line) for line in before.splitlines(keepends=True)]
    lines += [(rank, line) for line in body.splitlines(keepends=True)]
    lines += [(0, line) for line in after.splitlines(keepends=True)]
    return "".join(_with_label(launcher, n, rank, line) for n, (rank, line) in enumerate(lines))


LAUNCHERS = (
    "trainer-1  | ",
    "{rank}: ",
    "[default{rank}]:",
    "[rank{rank}]: ",
    "2025-04-02T05:{minute:02d}:{second:02d}.{n:09d}Z ",
    "(RayTrainWorker pid={pid}, ip=10.12.4.{rank}) ",
    "[pod/llm-train-worker-{rank}/pytorch] ",
    "trainer-{rank}  | 2025-04-02 05:{minute:02d}:{second:02d} ",
)
"""Docker compose, srun -l, torchrun, torch's ranks, ISO times, Ray, kubectl; the last is two."""


def _with_label(launcher: str, n: int, rank: int, line: str) -> str:
    minute, second = divmod(n, 60)
    label = launcher.format(rank=rank, pid=8100 + rank, minute=minute % 60, second=second, n=n)
    return label + line
