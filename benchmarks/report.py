"""Shows results, each beside its target and its peers, as a table or as JSON."""

import datetime
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

OURS = "supervisor"


@dataclass(frozen=True, slots=True)
class Row:
    """One quantity; a text instead of a value says why there is none.

    Smaller is better, unless `larger_is_better`: then the target is the least that is wanted.
    """

    what: str
    unit: str
    values: Mapping[str, float | str]
    target: float | None = None
    larger_is_better: bool = False

    @property
    def ours(self) -> float:
        """Our value."""
        value = self.values[OURS]
        assert not isinstance(value, str)
        return value

    @property
    def holds(self) -> bool | None:
        """Whether the target is reached; None without a target."""
        if self.target is None:
            return None
        return self.ours >= self.target if self.larger_is_better else self.ours <= self.target

    def ratio(self, peer: str) -> float | None:
        """Ours over the peer's; None where the peer has no value."""
        value = self.values.get(peer)
        return None if value is None or isinstance(value, str) or not value else self.ours / value

    def as_json(self) -> dict[str, Any]:
        """The row as a dictionary, ratios included."""
        peers = [name for name in self.values if name != OURS]
        return {
            "what": self.what,
            "unit": self.unit,
            "target": self.target,
            "larger_is_better": self.larger_is_better,
            "holds": self.holds,
            "values": dict(self.values),
            "ratios": {peer: self.ratio(peer) for peer in peers},
        }


@dataclass(frozen=True, slots=True)
class Report:
    """The rows of one benchmark and their subjects."""

    title: str
    subjects: Mapping[str, str]
    rows: Sequence[Row]
    notes: Sequence[str] = ()
    shows_ratios: bool = True

    @property
    def holds(self) -> bool:
        """Whether every target is reached."""
        return all(row.holds is not False for row in self.rows)

    def as_json(self) -> str:
        """The report as JSON text."""
        return json.dumps(self.as_document(), indent=2, ensure_ascii=False)

    def as_document(self) -> dict[str, Any]:
        """The report as a dictionary, with the machine that it was measured on."""
        return {
            "title": self.title,
            "machine": machine(),
            "subjects": dict(self.subjects),
            "rows": [row.as_json() for row in self.rows],
            "notes": list(self.notes),
            "holds": self.holds,
        }

    def show(self) -> None:
        """Print the report as a table."""
        peers = [name for name in self.subjects if name != OURS and self.shows_ratios]
        table = Table(title=self.title, title_justify="left")
        table.add_column("what")
        for heading in ("target", *self.subjects, *(f"÷ {peer}" for peer in peers)):
            table.add_column(heading, justify="right")
        for row in self.rows:
            bound = "≥" if row.larger_is_better else "≤"
            target = "" if row.target is None else f"{bound} {shown(row.target)} {row.unit}"
            verdict = {True: " ✓", False: " ✗", None: ""}[row.holds]
            cells = [shown(row.values.get(name, "–")) for name in self.subjects]
            cells[0] += f" {row.unit}{verdict}"
            ratios = [row.ratio(peer) for peer in peers]
            table.add_row(row.what, target, *cells, *(ratio_shown(r) for r in ratios))
        console = Console(width=150 if not os.isatty(1) else None)
        console.print(table)
        for name, about in {**self.subjects, **machine()}.items():
            console.print(f"  {name}: {about}", highlight=False, markup=False)
        for note in self.notes:
            console.print(f"  {note}", highlight=False, markup=False)


def shown(value: float | str) -> str:
    """A value with three digits, or the text that replaces it."""
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def ratio_shown(ratio: float | None) -> str:
    """Our value as a fraction of the peer's."""
    return "–" if ratio is None else f"{ratio:.2g}"


def machine() -> dict[str, str]:
    """The machine, the time of the measurement, and the load average."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "cpu": f"{len(os.sched_getaffinity(0))} × {models[0] if models else platform.machine()}",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "torch": version("torch"),
        "load_1min": f"{os.getloadavg()[0]:.2f}",
        "measured_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
