"""What is to happen to a script of the tests: it comes by the environment, and the script goes on.

`FAULTS=kill@7,kill1@12,stop@21,…`: what happens when the step of that number begins, in rank 0 or
in the rank whose number follows the word, or in an evaluation after it (`stopval@24`). Each happens
once in a folder.
"""

import json
import os
import signal
import time
from pathlib import Path

FAULTS = [word.split("@") for word in os.environ.get("FAULTS", "").split(",") if word]


def fault(place: str, step: int) -> None:
    """Do what is to happen in this rank at this place, if it has not happened yet."""
    for word, at in FAULTS:
        kind = word.rstrip("0123456789")
        rank = word[len(kind) :] or "0"
        done = Path(f"did-{word}-{at}")
        if int(at) != step or kind.endswith("val") != (place == "val") or done.exists():
            continue
        if rank != os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")):
            continue
        done.touch()
        if kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif kind == "exception":
            raise RuntimeError("a fault of the test")
        elif kind == "hang":
            time.sleep(3600)
        else:
            os.kill(int(os.environ["SUPERVISOR_LAUNCHER"].split(":")[0]), signal.SIGTERM)
            wait_for_stop()


def wait_for_stop() -> None:
    """Wait until the supervisor stops the run, so that the stop arrives within this step."""
    status = Path(os.environ["SUPERVISOR_RUN_DIR"], ".supervisor", "status.json")
    deadline = time.monotonic() + 60
    while json.loads(status.read_text()).get("stopping") is None and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
