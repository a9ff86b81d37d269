"""Draws docs/processes.svg, the processes of a run and the files between them, for `make docs`."""

from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

PAGE = Path(__file__).with_name("processes.svg")
WIDTH, HEIGHT = 960, 560
_PROCESS, _FILE = "#e8eefc", "#f6f1e3"


class Box(NamedTuple):
    """A process, or a file; its middle is at `x`, `y`."""

    name: str
    note: str
    x: int
    y: int
    is_file: bool = False
    width: int = 170
    height: int = 52


class Arrow(NamedTuple):
    """From one box to another, with a label for what goes that way."""

    start: str
    end: str
    text: str
    dx: int = 0
    dy: int = 0


BOXES = (
    Box("you, systemd, SLURM", "supervisor run, stop, signals", 130, 60, width=220),
    Box("launcher", "starts, signals, reaps", 430, 60),
    Box("daemon", "decides", 430, 220),
    Box("trainer", "your command", 810, 130),
    Box("parked interpreter", "the next trainer, imports done", 790, 30, width=230),
    Box("survey", "reads and proves checkpoints", 430, 360, width=220),
    Box("persister", "copies snapshots to the disk", 840, 430, width=220),
    Box("intent.json", "stop, hold, resume", 130, 170, is_file=True),
    Box("ledger, status.json", "what happened, what is so now", 130, 290, is_file=True, width=220),
    Box(
        "heartbeat page, train.log",
        "step, phase, a byte that asks",
        690,
        230,
        is_file=True,
        width=220,
    ),
    Box("snapshots in /dev/shm", "two slots", 840, 330, is_file=True, width=200),
    Box(
        "checkpoint directory",
        "the trainer saves here too",
        430,
        500,
        is_file=True,
        width=240,
    ),
)
ARROWS = (
    Arrow("you, systemd, SLURM", "launcher", "exec, signals"),
    Arrow("you, systemd, SLURM", "intent.json", "stop, hold"),
    Arrow("launcher", "daemon", "reports", 34),
    Arrow("daemon", "launcher", "orders", -34),
    Arrow("launcher", "trainer", "fork, SIGTERM"),
    Arrow("launcher", "parked interpreter", "“go”"),
    Arrow("intent.json", "daemon", "is read"),
    Arrow("daemon", "ledger, status.json", "writes"),
    Arrow("daemon", "survey", "asks, is answered"),
    Arrow("trainer", "heartbeat page, train.log", "beats, prints"),
    Arrow("heartbeat page, train.log", "daemon", "is read"),
    Arrow("trainer", "snapshots in /dev/shm", "keeps its state", 40),
    Arrow("snapshots in /dev/shm", "persister", "are copied"),
    Arrow("persister", "checkpoint directory", "saves"),
    Arrow("checkpoint directory", "survey", "is read"),
    Arrow("snapshots in /dev/shm", "survey", "are read"),
)


def picture() -> str:
    """The whole picture as SVG text."""
    by_name = {box.name: box for box in BOXES}
    arrows = [_arrow(arrow, by_name[arrow.start], by_name[arrow.end]) for arrow in ARROWS]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
        ' font-family="sans-serif" font-size="13">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8"'
        ' markerHeight="8" orient="auto"><path d="M0 0 8 4 0 8z" fill="#555"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        *arrows,
        *map(_box, BOXES),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _box(box: Box) -> str:
    left, top = box.x - box.width // 2, box.y - box.height // 2
    fill, radius = (_FILE, 2) if box.is_file else (_PROCESS, 10)
    return (
        f'<rect x="{left}" y="{top}" width="{box.width}" height="{box.height}" rx="{radius}"'
        f' fill="{fill}" stroke="#555"/>'
        f'<text x="{box.x}" y="{box.y - 4}" text-anchor="middle" font-weight="bold">'
        f"{escape(box.name)}</text>"
        f'<text x="{box.x}" y="{box.y + 15}" text-anchor="middle" fill="#444">'
        f"{escape(box.note)}</text>"
    )


def _arrow(arrow: Arrow, start: Box, end: Box) -> str:
    x1, y1 = _edge(start, end)
    x2, y2 = _edge(end, start)
    x1, x2 = x1 + arrow.dx, x2 + arrow.dx
    middle_x, middle_y = (x1 + x2) / 2, (y1 + y2) / 2
    return (
        f'<line x1="{x1:.0f}" y1="{y1:.0f}" x2="{x2:.0f}" y2="{y2:.0f}" stroke="#555"'
        ' marker-end="url(#tip)"/>'
        f'<text x="{middle_x:.0f}" y="{middle_y - 5:.0f}" text-anchor="middle" fill="#7a2e00"'
        ' paint-order="stroke" stroke="#ffffff" stroke-width="4">'
        f"{escape(arrow.text)}</text>"
    )


def _edge(box: Box, other: Box) -> tuple[float, float]:
    """The point where the line between the middles of two boxes leaves the first box."""
    dx, dy = other.x - box.x, other.y - box.y
    scale = min(
        box.width / 2 / abs(dx) if dx else float("inf"),
        box.height / 2 / abs(dy) if dy else float("inf"),
    )
    return box.x + dx * scale, box.y + dy * scale


if __name__ == "__main__":
    PAGE.write_text(picture())
