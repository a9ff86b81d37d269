"""What the console prints: one line for a file, wrapped lines on a terminal."""

import fcntl
import os
import pty
import struct
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.core.effects import Say
from supervisor.core.ending import Advice
from supervisor.core.reactions.hold import MENDED, hold
from supervisor.core.states import Policy, State
from supervisor.daemon.tell.console import Console

WIDTH = 50
CONFIG = f"runs/x/{'long' * 10}.yaml"
REASON = (
    "no checkpoint is seen: it saves into out/, so write `checkpoints: {directory: out; x}`; or"
    " write `resume: {by: trainer}`; or begin again"
)


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a terminal of 50 columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, WIDTH, 0, 0))
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


def held() -> Say:
    """What is said of a hold with an advice and three ways on."""
    policy = Policy(config_path=CONFIG, run_dir="runs/x")
    state = State(policy=policy, advice=Advice("Look at the arguments.", "--help"))
    reaction = hold(state, "hold", REASON, once=MENDED)
    return next(effect for effect in reaction.effects if isinstance(effect, Say))


def test_a_hold_on_a_terminal(terminal: tuple[int, int]) -> None:
    """What to type comes first, then each way on a line of its own, all within the width."""
    ours, theirs = terminal
    said = held()
    Console(theirs, enabled=True).say(said.line, parts=said.parts)
    lines = os.read(ours, 1 << 16).decode().replace("\r", "").splitlines()
    assert lines[0][9:] == "held; once this is mended, type"
    assert lines[1:3] == [f"{' ' * 11}supervisor {it}" for it in ("resume runs/x", f"run {CONFIG}")]
    assert all(len(line) <= WIDTH for line in lines if CONFIG not in line)
    below = [line.strip() for line in lines if line.startswith(" " * 11) and line[11] != " "]
    assert [line.partition(" ")[0] for line in below[2:]] == ["no", "or", "or", "Look"]
    words = " ".join(" ".join(lines).split())
    for part in (
        "`checkpoints: {directory: out; x}`",
        "arguments: `--help`",
    ):
        assert part in words


def test_a_hold_in_a_file(tmp_path: Path) -> None:
    """It stays one line, with the reason first."""
    said = held()
    with (tmp_path / "console.log").open("wb") as file:
        Console(file.fileno(), enabled=True).say(said.line, parts=said.parts)
    (line,) = (tmp_path / "console.log").read_text().splitlines()
    assert line[9:] == said.line
    assert line[9:].startswith(f"held: {REASON}. Look at the arguments: `--help`; {MENDED}: ")


def test_a_long_line_on_a_terminal(terminal: tuple[int, int]) -> None:
    """It is wrapped below its first word; a path is never broken."""
    ours, theirs = terminal
    path = "/a" * 40
    Console(theirs, enabled=True).say(f"{'word ' * 20}{path}")
    lines = os.read(ours, 1 << 16).decode().replace("\r", "").splitlines()
    assert len(lines) > 2
    assert all(line.startswith(" " * 9) for line in lines[1:])
    assert lines[-1].strip() == path
