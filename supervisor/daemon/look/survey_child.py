"""The child process that reads checkpoints for the daemon. It stays, so that it answers at once.

A child that a disk holds up is killed, and waited for no longer than a second.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import supervisor.survey
from supervisor.system.child_end import end_child
from supervisor.system.json_lines import JsonLines
from supervisor.system.private_directory import make_private

LEFT_S = 1.0
_PROGRAM = Path(supervisor.survey.__file__).with_name("__main__.py")


class SurveyChild:
    """One child at a time; questions and answers are files in `folder`, in memory."""

    def __init__(self, folder: Path) -> None:
        self.is_asked = False
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._lost: list[subprocess.Popen[bytes]] = []
        # One pipe for all children, one after another, so that the loop can watch it.
        self._answers, self._answering = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._heard = JsonLines(self._answers)
        self._generation = 0

    def fileno(self) -> int:
        """For the selector: readable when an answer may have come."""
        return self._answers

    def ask(self, request: Mapping[str, Any]) -> None:
        """Ask for one survey; an earlier question is forgotten. Raises OSError."""
        self._generation += 1
        make_private(self._folder)
        self.file("request").write_text(json.dumps(request))
        files = {name: str(self.file(name)) for name in ("request", "answer")}
        line = json.dumps({"id": self._generation, **files}).encode() + b"\n"
        if self._process is None or self._process.poll() is not None:
            self._start()
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(line)
        self.is_asked = True

    def _start(self) -> None:
        self._let_go()
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(_PROGRAM), "serve"],
                stdin=subprocess.PIPE,
                stdout=self._answering,
                stderr=errors,
                bufsize=0,
            )

    def file(self, name: str) -> Path:
        """Where the `request` and the `answer` of the present question are."""
        # Names with pid and number: a dead daemon's child may still be writing its own files.
        return self._folder / f"survey-{os.getpid()}-{self._generation}-{name}"

    @property
    def _errors(self) -> Path:
        return self._folder / f"survey-{os.getpid()}-errors"

    def poll(self) -> dict[str, Any] | str | None:
        """The survey as JSON values, or a sentence on why there is none; None while it runs."""
        if not self.is_asked:
            return None
        said = self._hear()
        if said is None and self._process is not None and self._process.poll() is None:
            return None
        self.is_asked = False
        try:
            if said is None:
                return self._complaint()
            if said["error"] is not None:
                return str(said["error"])
            return dict(json.loads(self.file("answer").read_text()))
        except (OSError, ValueError, TypeError) as error:
            return f"{type(error).__name__}: {error}"
        finally:
            self._remove_files()

    def _hear(self) -> dict[str, Any] | None:
        """The answer to the last question; a killed child's answers are passed over."""
        answers = self._heard.read()
        return next((said for said in answers if said["id"] == self._generation), None)

    def _complaint(self) -> str:
        lines = self._errors.read_text(errors="replace").strip().splitlines()
        code = None if self._process is None else self._process.returncode
        return lines[-1] if lines else f"exit code {code}"

    def cancel(self) -> None:
        """Give up the survey, and kill the child process."""
        self.is_asked = False
        if self._process is not None:
            if not end_child(self._process, LEFT_S):
                self._lost.append(self._process)
            self._let_go()
        self._lost = [process for process in self._lost if process.poll() is None]
        self._remove_files()
        self._errors.unlink(missing_ok=True)

    def _let_go(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        self._process = None

    def _remove_files(self) -> None:
        for name in ("request", "answer"):
            self.file(name).unlink(missing_ok=True)
