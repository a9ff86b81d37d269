"""The report: a missed target must show, and a peer that could not run is no win."""

import json

import pytest

from benchmarks.report import Report, Row


def row(ours: float, *, target: float | None = 48.0, peer: float | str = 300.0) -> Row:
    """One quantity of ours and of a peer."""
    return Row("resident", "MB", {"supervisor": ours, "torchrun": peer}, target)


@pytest.mark.parametrize(
    ("ours", "target", "holds"),
    [(40.0, 48.0, True), (48.0, 48.0, True), (49.0, 48.0, False), (1e9, None, None)],
)
def test_a_target_is_held_or_missed(ours: float, target: float | None, holds: bool | None) -> None:
    """A value equal to the target holds it; without a target nothing is claimed."""
    assert row(ours, target=target).holds is holds


def test_one_missed_target_fails_the_report() -> None:
    """One missed target fails the report; the benchmark's exit code depends on it."""
    assert Report("cost", {}, [row(40.0), row(40.0, target=None)]).holds
    assert not Report("cost", {}, [row(40.0), row(50.0)]).holds


@pytest.mark.parametrize("peer", ["not available", 0.0])
def test_no_ratio_to_a_peer_without_a_value(peer: float | str) -> None:
    """A missing value has no ratio."""
    assert row(40.0, peer=peer).ratio("torchrun") is None
    assert row(40.0).ratio("nobody") is None


def test_json_says_what_the_table_says(capsys: pytest.CaptureFixture[str]) -> None:
    """Table and JSON both have values, targets, ratios and verdicts."""
    report = Report("cost", {"supervisor": "here", "torchrun": "2.13"}, [row(60.0)], ["a note"])
    document = json.loads(report.as_json())
    assert document["rows"][0]["ratios"] == {"torchrun": pytest.approx(0.2)}
    assert document["holds"] is False
    report.show()
    table = capsys.readouterr().out
    for cell in ("≤ 48 MB", "60 MB ✗", "300", "0.2", "a note"):
        assert cell in table
