"""Ranks that have ended: a main process that is a rank itself is not deserted, page or not."""

import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.daemon.look.rank_presence import RankPresence
from supervisor.daemon.look.ranks_gone import RanksGoneWatch
from supervisor.system.identity import identify, start_ticks
from supervisor.worker.heartbeat import PageWriter
from supervisor.worker.page_reading import read_pages

MAIN = """
import os, sys
held = [os.open(path, os.O_RDWR | os.O_CREAT) for path in sys.argv[1:]]
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("is_attached", [False, True])
@pytest.mark.parametrize("is_below", [False, True])
def test_a_rank_whose_page_a_helper_took_is_no_launcher_whose_ranks_died(
    tmp_path: Path, is_attached: bool, is_below: bool
) -> None:
    """A helper attached before the rank's first beat, took its page, and ended without finish()."""
    folder = tmp_path / "attempt-1"
    folder.mkdir()
    words = [sys.executable, "-c", MAIN, *([str(folder / "owner-0")] if is_attached else [])]
    if is_below:
        words = ["sh", "-c", '"$@"; true', "sh", *words]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    main = subprocess.Popen(words, **pipes)  # type: ignore[call-overload]
    helper = subprocess.Popen([sys.executable, "-c", MAIN], **pipes)  # type: ignore[call-overload]
    try:
        assert main.stdout.readline() == helper.stdout.readline() == b"ready\n"
        PageWriter(folder / "rank-0", start_ticks=start_ticks(helper.pid) or 0)
        pages = [one._replace(pid=helper.pid) for one in read_pages(folder)]
        presence = RankPresence()
        desertion = RanksGoneWatch(presence, folder)
        presence.look(pages, 10.0)
        assert desertion.facts(pages, identify(main.pid), 10.0) is None
        helper.communicate(b"")
        presence.look(pages, 11.0)
        gone = desertion.facts(pages, identify(main.pid), 20.0)
        assert (gone is None) is is_attached
        assert gone is None or (gone.age_s, gone.has_ended_well) == (9.0, False)
        if not is_attached:  # a program that came to its end without finish() has not died
            in_order = [one._replace(has_ended_in_order=True) for one in pages]
            gone = desertion.facts(in_order, identify(main.pid), 21.0)
            assert gone is not None
            assert gone.has_ended_well
    finally:
        for process in (main, helper):
            if process.returncode is None:
                process.communicate(b"")
