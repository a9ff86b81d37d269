"""600 short endings, of as many libraries, launchers and clouds as one person could think of.

They were written without a look at the rules, and the rules were mended for their kinds afterwards.
"""

import json
import lzma
from pathlib import Path
from typing import Any

import pytest

from supervisor.diagnosis.diagnose import diagnose
from supervisor.diagnosis.failure import ExitEvidence

pytestmark = pytest.mark.timeout(300)
ROWS = Path(__file__).with_name("short_endings.jsonl.xz")
ACTION, NAME, HELD, RESTARTED = 94.0, 91.0, 0.0, 4.0
LEAD = ("[INFO] config loaded from configs/a.yaml", "[INFO] building model: 124.4M parameters")
STEPS = tuple(f"step {step}: loss {2 - step / 100:.2f} lr 3e-4" for step in (10, 20, 30))
HEADER = "Traceback (most recent call last):"
STOPPING = {"hold", "exclude"}


def _whole(tail: str) -> list[str]:
    """The lines of an ending. A traceback that was cut short gets the script's own call back."""
    lines: list[str] = []
    given = [line for line in tail.replace("\r", "\n").split("\n") if line.strip()]
    for at, line in enumerate(given):
        lines.append(line)
        below = given[at + 1] if at + 1 < len(given) else ""
        if line.strip() == HEADER and "in <module>" not in below and "_bootstrap" not in below:
            margin = line[: len(line) - len(line.lstrip())]
            call = f'{margin}  File "/app/train.py", line 388, in <module>'
            lines += [call, f"{margin}    main()"]
    return lines


def _diagnosed(row: dict[str, Any]) -> tuple[str, str]:
    in_run = row["phase"] in ("run", "end")
    found = diagnose(
        ExitEvidence(
            code=row["code"],
            signal=row["signal"],
            lines=(*LEAD, *(STEPS if in_run else ()), *_whole(row["tail"])),
            first_step_seen=in_run,
            lines_from_start=True,
        )
    )
    return found.failure.value, found.action.value


def test_the_floors_hold() -> None:
    """Actions, names, wrong holds and wrong restarts, over all endings."""
    with lzma.open(ROWS, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    assert len(rows) == 600
    actions = names = held = restarted = 0
    mistakes = []
    for row in rows:
        failure, action = _diagnosed(row)
        wanted = set(row["action"].split("|"))
        names += failure in row["failure"].split("|")
        actions += action in wanted
        held += action in STOPPING and not wanted & STOPPING
        restarted += action not in STOPPING and wanted <= STOPPING
        if action not in wanted:
            mistakes.append(f"{row['failure']} / {row['action']}, said {failure} / {action}")
    said = "\n".join(mistakes)
    assert 100 * actions / len(rows) >= ACTION, said
    assert 100 * names / len(rows) >= NAME
    assert 100 * held / len(rows) <= HELD, said
    assert 100 * restarted / len(rows) <= RESTARTED, said
