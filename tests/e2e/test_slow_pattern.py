"""A regular expression that backtracks delays neither the daemon nor a stop."""

import signal
import sys
import time

from tests.e2e.conftest import Supervised

_PRINTS = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:
    print("loss " * 12 + "lr grad norm tokens " + "a" * 40 + "!", flush=True)
    time.sleep(0.1)
"""


def test_a_stop_is_carried_out_in_time(run: Supervised) -> None:
    """The grace ends in time; the pattern is switched off, which is reported once."""
    script = run.folder / "prints.py"
    script.write_text(_PRINTS)
    watch = {"progress": r"(\w+\s?)*step=(?P<step>\d+)"}
    run.configure(command=[sys.executable, str(script)], grace="1s", watch=watch)
    process = run.start("--plain")
    run.wait(lambda: "the pattern is switched off" in run.text)
    process.send_signal(signal.SIGTERM)
    begun = time.monotonic()
    assert run.finish() == 75
    assert time.monotonic() - begun < 20.0
    assert run.text.count("watch.progress takes too long") == 1
    assert any("switched off" in line for line in run.status["warnings"])
    assert run.strays() == []


def test_check_tries_it(run: Supervised) -> None:
    """`check` tries the pattern before the run, on lines that its shape suggests."""
    run.configure(watch={"progress": r"(?P<step>[0-9]+) (a+)+$"})
    checked = run.raw("check", str(run.config))
    assert checked.returncode == 78
    assert "takes too long" in checked.stdout
    run.configure(watch={"progress": r"step (?P<step>\d+)"})
    assert "takes too long" not in run.raw("check", str(run.config)).stdout
