"""Replaces the varying values of a record, by the names of their fields; types stay.

Everything else is compared byte by byte: names, places, types, words and numbers.
"""

import json
import os
import re
import socket
import sys
from pathlib import Path
from typing import Any

import supervisor

ROOT = Path(__file__).resolve().parents[2]

# Fields of a moment, a process, a machine or a run. A number becomes 0 or 0.0, a text its field's
# name.
_VARYING = {
    # moments and lengths of time
    "at", "monotonic", "since", "started_at", "updated_at", "next_at", "failed_at", "done_at",
    "started_monotonic", "stop_sent_at", "kill_sent_at", "asked_wall", "wait_s",
    "stop_signal_at", "exited", "chosen", "asked", "started", "seconds", "duration_s",
    "startup_s", "last_save_s", "took_s", "gap_s", "age_s", "log_age_s", "heartbeat_age_s",
    "pace_s", "launching_s", "training_s", "saving_s", "replaying_s", "waiting_s", "down_s",
    "unknown_s", "total_s", "goodput", "bytes_per_s", "step_rate", "eta_s",
    # processes and descriptors
    "pid", "launcher_pid", "launcher", "daemon", "trainer", "start_ticks", "pids", "fd",
    # sizes that contain a time or a path, and counts of the kernel
    "bytes", "rss_bytes", "tmpfs_bytes", "peak_rss_bytes", "log_offset", "log_inode", "modules",
    "files",
    # identities of the run and of the machine
    "run_id", "SUPERVISOR_RUN_ID", "WANDB_RUN_ID", "boot_id", "host", "version", "intent_id",
    "fingerprint", "mount",
}  # fmt: skip
# These fields are null until something was seen, and time decides when that is.
_MAYBE = {"step_rate", "eta_s", "last_save_s", "log_age_s", "heartbeat_age_s", "goodput"}
_TEXTS = [
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "<time>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\b"), "<time>"),
    (re.compile(r"\b\d\d:\d\d:\d\d\b"), "<clock>"),
    (re.compile(r"\bpid \d+"), "pid <pid>"),
    (re.compile(r"\bpython[\d.]* \(\d+\)"), "python (<pid>)"),
    (re.compile(r"\b(just now|[\d.]+s ago)\b"), "<age>"),
    (re.compile(r"\bin [\d.]+ s\b"), "in <s> s"),
    (re.compile(r"\b(no sign of life|not grown) for \d+ s\b"), r"\1 for <s> s"),
    (re.compile(r"\bfrom (less than a second|\d+ s) before the stop"), "from <s> before the stop"),
    (re.compile(r"\bCPU \([\d.]+ cores\)"), "CPU (<n> cores)"),
    (re.compile(r"\b(beat|log):[0-9a-f]{8}\b"), r"\1:<hash>"),
    (re.compile(r"train-supervisor-\d+/[0-9a-f]{16}"), "train-supervisor-<uid>/<run_id>"),
    # The two slots take turns, except for a slot that is being read.
    (re.compile(r"/slot-\d/"), "/slot-<n>/"),
    # Line numbers of a trainer among the tests.
    (re.compile(r"(<root>/tests/\S+\", line )\d+"), r"\1<n>"),
]


class Normal:
    """The normal form of a record of a run in `folder`."""

    def __init__(self, folder: Path) -> None:
        known = {str(folder): "<dir>", sys.executable: "<python>", str(ROOT): "<root>"}
        known[os.path.realpath(folder)] = "<dir>"
        self._places = sorted(known.items(), key=lambda pair: -len(pair[0]))
        self._words = [
            (re.compile(rf"(?<![\w.-]){re.escape(word)}(?![\w.-])"), name)
            for word, name in (
                (socket.gethostname(), "<host>"),
                (supervisor.__version__, "<version>"),
            )
        ]

    def places(self, text: str) -> str:
        """A text without the names of places, of this machine and of this version."""
        for place, name in self._places:
            text = text.replace(place, name)
        for pattern, name in self._words:
            text = pattern.sub(name, text)
        return text

    def text(self, text: str) -> str:
        """A sentence or a path without places, times and pids."""
        text = self.places(text)
        for pattern, name in _TEXTS:
            text = pattern.sub(name, text)
        return text

    def value(self, value: Any, field: str = "") -> Any:
        """A JSON value; `field` is its key."""
        if field in _MAYBE and (value is None or isinstance(value, float)):
            return "<null or float>"
        if field == "printed":
            return "<null or printed>"  # what was printed by the time of a look
        if field == "at_risk":
            return "<null or at_risk>"  # its time is known once steps have been timed
        if field == "recovery":
            return "<null or recovery>"  # what was told of it by then
        if field == "save_interval":
            return "<null or save_interval>"  # a save may have been timed by then
        match value:
            case dict():
                return {self.text(key): self.value(one, key) for key, one in value.items()}
            case list():
                return [self.value(one, field) for one in value]
            case bool() | None:
                return value
            case int() | float() if field in _VARYING:
                return type(value)()
            case str() if field in _VARYING and value:
                return f"<{field}>"
            case str():
                return self.text(value)
            case _:
                return value

    def shape(self, value: Any) -> Any:
        """A JSON value's names and types; values under varying names are listed once each."""
        match value:
            case dict():
                named = {self.text(key): self.shape(one) for key, one in value.items()}
                return {**named, "type": value["type"]} if "type" in value else named
            case list():
                return sorted({json.dumps(self.shape(one)) for one in value})
            case None:
                return None
            case _:
                return type(value).__name__

    def line(self, value: Any) -> str:
        """A JSON value on one line, with its keys in their order."""
        return json.dumps(self.value(value), separators=(",", ":"), ensure_ascii=False)
