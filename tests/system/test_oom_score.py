"""A protection from the OOM killer is given up, and nothing else is changed."""

from pathlib import Path

import pytest

from supervisor.system import oom_score


@pytest.mark.parametrize(("before", "after"), [("-500\n", "0"), ("0\n", "0\n"), ("300\n", "300\n")])
def test_only_a_protection_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str, after: str
) -> None:
    """Who made a process more likely to be killed meant it."""
    path = tmp_path / "oom_score_adj"
    path.write_text(before)
    monkeypatch.setattr(oom_score, "_OOM_SCORE_ADJ", str(path))
    oom_score.share_the_oom_killer()
    assert path.read_text() == after


def test_a_kernel_that_refuses_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program is started all the same."""
    monkeypatch.setattr(oom_score, "_OOM_SCORE_ADJ", str(tmp_path / "none"))
    oom_score.share_the_oom_killer()
