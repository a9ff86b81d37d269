"""How often the cause of a death is named rightly, and how long that takes.

Each labelled log in each wrapping, beside the rules of NVIDIA Resiliency Extension's restart agent.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import log_peer, long_log
from benchmarks.labelled_logs import GIVEN, HEALTHY_LOGS, LabelledLog, read_logs
from benchmarks.log_peer import LogPeer
from benchmarks.peers import Unavailable
from benchmarks.report import OURS, Report, Row
from benchmarks.scoring import Judged, Score, Verdict
from benchmarks.wrapping import HEALTHY_WRAPPINGS, SEED, WRAPPINGS, wrapped
from supervisor.diagnosis.log_file import diagnose_file

Judge = Callable[[LabelledLog, Path], Verdict]
MB = 1e6
PEER_PATIENCE_S = 300.0


@dataclass(frozen=True, slots=True)
class Floor:
    """One of the quantities of a score, and the least or the most that is wanted."""

    what: str
    of: Callable[[Score], float]
    target: float
    larger_is_better: bool = False

    def is_reached(self, found: Score) -> bool:
        """Whether the score is as good as wanted."""
        value = self.of(found)
        return value >= self.target if self.larger_is_better else value <= self.target


FLOORS = (
    Floor("action right", lambda score: score.action_percent, 97.0, True),
    Floor("name right", lambda score: score.name_percent, 94.0, True),
    Floor("wrongly held", lambda score: score.wrongly_held_percent, 0.5),
    Floor("wrongly restarted", lambda score: score.wrongly_restarted_percent, 2.0),
)


def ours(log: LabelledLog, path: Path) -> Verdict:
    """Our verdict on the file `path`, which holds the log in a wrapping."""
    return Verdict.of(diagnose_file(path, code=log.code, signal=log.signal))


def score(logs: Sequence[LabelledLog], wrapping: str, seed: int, judge: Judge) -> Score:
    """The verdicts of one program on all logs in one wrapping."""
    judged = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for log in logs:
            if log.is_healthy and wrapping not in HEALTHY_WRAPPINGS:
                continue
            path = Path(folder, f"{log.id}.log")
            path.write_bytes(wrapped(log, wrapping, seed=seed).encode())
            judged.append(Judged(log, judge(log, path)))
            path.unlink()
    return Score.of(judged)


def score_rows(wrapping: str, scores: Mapping[str, Score | str]) -> list[Row]:
    """The rows of one wrapping; a text instead of a score says why there is none."""
    rows = []
    example = scores[OURS]
    assert isinstance(example, Score)
    failed = len(example.failed)
    healthy = len(example.judged) - failed
    if failed:
        for floor in FLOORS:
            values = {name: _value(found, floor.of) for name, found in scores.items()}
            what = f"{wrapping}: {floor.what}, of {failed}"
            rows.append(Row(what, "%", values, floor.target, floor.larger_is_better))
    if healthy:
        values = {name: _value(found, _alarm_count) for name, found in scores.items()}
        rows.append(Row(f"{wrapping}: alarms in {healthy} healthy logs", "", values, 0))
    return rows


def _alarm_count(found: Score) -> float:
    return float(len(found.alarms))


def _value(found: Score | str, of: Callable[[Score], float]) -> float | str:
    return found if isinstance(found, str) else of(found)


def speed_rows(peer: LogPeer | None, long_bytes: int, unstepped_bytes: int) -> list[Row]:
    """The time for two long logs beside `tac`, Python and the peer; both are removed again."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder, "train.log")
        long_log.write_without_steps(path, unstepped_bytes)
        size_mb = path.stat().st_size / MB
        progress(f"a log of {size_mb:,.0f} MB without steps")
        through = {name: size_mb / took for name, took in _times(path).items()}
        if peer is not None:
            progress(f"the same by {log_peer.NAME}, which takes a while")
            through[log_peer.NAME] = size_mb / peer.ask(path).seconds
        path.unlink()
        progress(f"a log of {long_bytes / MB:,.0f} MB with steps")
        long_log.write_long(path, long_bytes)
        verdict: dict[str, float | str] = {**_times(path)}
        if peer is not None:
            took = path.stat().st_size / MB / through[log_peer.NAME]
            verdict[log_peer.NAME] = (
                peer.ask(path).seconds
                if took < PEER_PATIENCE_S
                else f"not tried: {took:,.0f} s at that rate"
            )
    return [
        Row(f"{size_mb:,.0f} MB without a step, read through", "MB/s", through, None, True),
        Row(f"{long_bytes / MB:,.0f} MB, its verdict", "s", verdict),
    ]


def _times(path: Path) -> dict[str, float]:
    found = []
    took = {OURS: long_log.seconds(lambda log: found.append(diagnose_file(log, code=1)), path)}
    if found[0].failure != long_log.CAUSE:
        progress(f"the cause was {long_log.CAUSE}, and {found[0].failure} was named")
    took["tac"] = long_log.seconds(long_log.tac, path)
    took["readlines"] = long_log.seconds(long_log.read_lines, path)
    return took


def progress(text: str) -> None:
    """What is being measured, to stderr."""
    print(f"… {text}", file=sys.stderr, flush=True)


def run(arguments: argparse.Namespace) -> Report:
    """Score and time all that is wanted. Raises OSError, ValueError."""
    folders = arguments.logs or [GIVEN, HEALTHY_LOGS]
    logs = [log for folder in folders for log in read_logs(folder)]
    subjects = {OURS: "this checkout"}
    peer = log_peer.find() if arguments.peers else None
    match peer:
        case Unavailable():
            subjects[peer.name] = f"not available: {peer.reason}"
        case LogPeer():
            subjects[log_peer.NAME] = peer.version
    asked = peer if isinstance(peer, LogPeer) else None
    rows = []
    for wrapping in arguments.wrappings.split(","):
        progress(f"{wrapping}: {len(logs)} logs")
        found: dict[str, Score | str] = {OURS: score(logs, wrapping, arguments.seed, ours)}
        if asked is not None:
            found[log_peer.NAME] = score(logs, wrapping, arguments.seed, asked.judge)
        elif peer is not None:
            found[log_peer.NAME] = "not available"
        rows += score_rows(wrapping, found)
        if arguments.mistakes:
            mine = found[OURS]
            assert isinstance(mine, Score)
            print(*mine.mistakes(), sep="\n", file=sys.stderr, flush=True)
    if arguments.long_mb:
        rows += speed_rows(asked, int(arguments.long_mb * MB), int(arguments.through_mb * MB))
        subjects |= {"tac": "coreutils, to /dev/null", "readlines": "Python, each line of the file"}
    if asked is not None:
        asked.close()
    return Report("Why it died: labelled logs", subjects, rows, NOTES)


NOTES = (
    "A label may allow several names or actions.",
    "wrap2 and wrap2b have failing peers in them, so healthy logs are left out there.",
    "nvrx only says STOP or RESTART. Each counts as right for all our actions of that kind.",
    "nvrx has fewer names: its class counts for each of our names that it covers, and besides the"
    " name that our rows give to the line that it chose.",
    "MB is 10^6 bytes. ÷ is ours over the peer's.",
)


def main() -> int:
    """Exit code 0 where every target is reached, else 1."""
    parser = argparse.ArgumentParser(prog="benchmarks.diagnosis", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--logs", type=Path, action="append", metavar="FOLDER", help="labels.tsv and ID.log"
    )
    parser.add_argument("--wrappings", default=",".join(WRAPPINGS), help="separated by commas")
    parser.add_argument("--seed", type=int, default=SEED, help="of the wrappings")
    parser.add_argument("--peers", default=log_peer.NAME, help="empty for none")
    parser.add_argument("--mistakes", action="store_true", help="print each of ours to stderr")
    parser.add_argument("--long-mb", type=float, default=2000, help="0: no log is timed")
    parser.add_argument("--through-mb", type=float, default=32, help="the log without a step")
    arguments = parser.parse_args()
    report = run(arguments)
    if arguments.json:
        print(report.as_json())
    else:
        report.show()
    return 0 if report.holds else 1


if __name__ == "__main__":
    sys.exit(main())
