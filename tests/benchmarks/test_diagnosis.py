"""The benchmark of the diagnosis: labels, wrappings and scores, on examples counted by hand."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from benchmarks import diagnosis, log_peer, long_log
from benchmarks.labelled_logs import GIVEN, HEALTHY_LOGS, LabelledLog, read_logs
from benchmarks.peers import Unavailable
from benchmarks.report import OURS
from benchmarks.scoring import Judged, Score, Verdict
from benchmarks.wrapping import WRAPPINGS, wrapped

STEP = re.compile(r"\d+/\d+ |\b(?:step|iter|iteration)[ =:]+\d|'loss': ")


def a_log(failures: str, actions: str, path: Path = Path("/nowhere")) -> LabelledLog:
    """A label without a log."""
    words = [frozenset(text.split("|")) for text in (failures, actions)]
    return LabelledLog("1", path, words[0], words[1], 1, None, "run")


def judged(failures: str, actions: str, failure: str, action: str) -> Judged:
    """A label, and what was said."""
    said = Verdict(frozenset({failure}), frozenset(action.split("|")))
    return Judged(a_log(failures, actions), said)


def test_every_given_label_is_read() -> None:
    """All 108 logs are there, and no label of an unnamed kind is left."""
    logs = read_logs(GIVEN)
    assert len(logs) == 108
    assert all(log.path.is_file() and log.failures and log.actions for log in logs)
    assert not any("NONE" in name for log in logs for name in log.failures)
    by_id = {log.id: log for log in logs}
    assert by_id["125"].failures == {"incompatible_software", "configuration", "cuda_fault"}
    assert (by_id["170"].code, by_id["170"].signal) == (None, 9)


def test_a_folder_of_ones_own_needs_few_columns(tmp_path: Path) -> None:
    """Id, failure and action suffice; what can only happen before a step gets no steps."""
    (tmp_path / "labels.tsv").write_text(
        "id\tfailure\taction\n1\tconfiguration|exception\thold\n2\tnvlink\texclude|hold\n3\thealthy\t\n"
    )
    first, second, third = read_logs(tmp_path)
    assert (first.phase, second.phase) == ("start", "run")
    assert second.actions == {"exclude", "hold"}
    assert third.is_healthy


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    """A typing error in a label must not count as a name that nobody can say."""
    (tmp_path / "labels.tsv").write_text("id\tfailure\taction\n1\tNONE:pemission\thold\n")
    with pytest.raises(ValueError, match="NONE:pemission"):
        read_logs(tmp_path)


def test_a_score_counts_what_it_says() -> None:
    """Five verdicts, one of each kind."""
    found = Score.of(
        [
            judged("nvlink", "exclude", "nvlink", "exclude"),
            judged("exception", "restart", "configuration", "hold"),
            judged("configuration", "hold", "configuration", "restart"),
            judged("nccl_timeout|nccl_network", "restart", "nccl_network", "backoff"),
            judged("healthy", "none", "unknown", "restart"),
        ]
    )
    assert (found.action_percent, found.name_percent) == (25, 75)
    assert (found.wrongly_held_percent, found.wrongly_restarted_percent) == (25, 25)
    assert found.alarms == []
    assert len(found.mistakes()) == 3


def test_a_name_in_a_healthy_log_is_an_alarm() -> None:
    """Any failure's name is one; that nothing is known, or that it completed, is none."""
    for name in ("unknown", "completed"):
        assert not Score.of([judged("healthy", "none", name, "none")]).alarms
    found = Score.of([judged("healthy", "none", "exception", "restart")])
    assert len(found.alarms) == len(found.mistakes()) == 1


def test_a_word_for_all_actions_is_right_for_each_of_its_kind() -> None:
    """A peer that only says RESTART is right for a backoff, and wrong for a hold."""
    restart = {"decision": "RESTART", "class": "cuda_oom", "line": "x", "seconds": 0.1}
    said = log_peer.PeerVerdict.read(restart).verdict
    assert said.failures == {"cuda_out_of_memory"}
    assert Judged(a_log("cuda_out_of_memory", "backoff"), said).is_action_right
    assert Judged(a_log("configuration", "hold"), said).is_wrongly_restarted
    stop = log_peer.PeerVerdict.read({**restart, "decision": "STOP", "class": None}).verdict
    assert stop.failures == {"unknown"}
    assert Judged(a_log("exception", "restart"), stop).is_wrongly_held


@pytest.mark.parametrize("wrapping", WRAPPINGS[1:])
def test_a_wrapping_keeps_the_log_and_is_the_same_each_time(wrapping: str) -> None:
    """Each line of the log is there in its order; another seed gives other lines around it."""
    for log in read_logs(GIVEN)[::9]:
        text = wrapped(log, wrapping)
        assert text == wrapped(log, wrapping)
        assert text != wrapped(log, wrapping, seed=2)
        position = 0
        for line in log.text().splitlines():
            position = text.index(line, position) + len(line)


def test_steps_stand_only_before_a_death_in_training() -> None:
    """A failed import has none before it, and a death in training has at least two hundred."""
    for log in read_logs(GIVEN)[::5]:
        before = wrapped(log, "wrap1").partition(log.text())[0]
        steps = [line for line in before.replace("\r", "\n").split("\n") if STEP.search(line)]
        if log.phase == "run":
            assert len(steps) >= 200, log.id
        else:
            assert not [line for line in steps if "Map" not in line and "shards" not in line]


def test_peers_go_on_for_a_step_or_two() -> None:
    """`wrap2b` is `wrap2` and these steps, behind the cause and before the watchdogs."""
    log = next(log for log in read_logs(GIVEN) if log.phase == "run")
    fewer, more = (wrapped(log, name).partition(log.text())[2] for name in ("wrap2", "wrap2b"))
    first = more.replace("\r", "\n").strip("\n").split("\n")[0]
    assert STEP.search(first)
    assert "Watchdog" in fewer.split("\n")[0]


def test_rows_have_targets_on_both_sides() -> None:
    """Right answers have a least, wrong ones a most, and a missing peer its reason."""
    found = Score.of([judged("nvlink", "exclude", "nvlink", "exclude")])
    rows = diagnosis.score_rows("plain", {OURS: found, "nvrx": "not available"})
    assert [row.holds for row in rows] == [True] * 4
    assert rows[0].values["nvrx"] == "not available"
    bad = Score.of([judged("nvlink", "exclude", "exception", "restart")])
    assert [row.holds for row in diagnosis.score_rows("plain", {OURS: bad})] == [False] * 2 + [
        True,
        False,
    ]


def test_a_peer_that_cannot_be_had_says_what_was_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pip's last line and the version are the reason; a peer that dies at once is none either."""

    def fail(*words: str) -> None:
        raise subprocess.CalledProcessError(1, "pip", stderr="ERROR: one\nERROR: No match\n")

    monkeypatch.setattr(log_peer, "FOLDER", tmp_path)
    monkeypatch.setattr(log_peer, "_install", fail)
    found = log_peer.find()
    assert isinstance(found, Unavailable)
    assert "==0.7.0" in found.reason
    assert found.reason.endswith("No match")
    monkeypatch.setattr(log_peer, "_install", lambda *words: None)
    found = log_peer.find()
    assert isinstance(found, Unavailable)
    assert "ended with 1" in found.reason


def test_it_runs_on_a_folder_of_ones_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--json` has the rows of the folder and of two small logs for the clock."""
    (tmp_path / "labels.tsv").write_text("id\tfailure\taction\n1\tcuda_out_of_memory\trestart\n")
    (tmp_path / "1.log").write_text("torch.OutOfMemoryError: CUDA out of memory. Tried to …\n")
    words = ["--json", "--logs", str(tmp_path), "--wrappings", "plain,wrap3", "--peers", ""]
    words += ["--long-mb", "1", "--through-mb", "1"]
    monkeypatch.setattr("sys.argv", ["diagnosis", *words])
    assert diagnosis.main() == 0
    report = json.loads(capsys.readouterr().out)
    assert [row["what"] for row in report["rows"]][:2] == [
        "plain: action right, of 1",
        "plain: name right, of 1",
    ]
    assert report["rows"][0]["values"] == {OURS: 100}
    assert report["rows"][-1]["unit"] == "s"
    assert report["rows"][-2]["larger_is_better"]


def test_the_long_logs_have_their_cause(tmp_path: Path) -> None:
    """The one with steps ends by it; the other has it near its beginning, and no step at all."""
    path = tmp_path / "train.log"
    long_log.write_long(path, 2_000_000)
    assert str(diagnosis.diagnose_file(path, code=1).failure) == long_log.CAUSE
    long_log.write_without_steps(path, 300_000)
    lines = path.read_text().splitlines()
    assert not any(STEP.search(line) for line in lines)
    place = next(n for n, line in enumerate(lines) if "illegal memory" in line)
    assert place < len(lines) / 10


def test_all_healthy_logs_say_so() -> None:
    """A healthy folder has no failed log that would be left out of the alarms."""
    assert all(log.is_healthy for log in read_logs(HEALTHY_LOGS))
