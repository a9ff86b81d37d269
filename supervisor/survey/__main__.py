"""The child that reads checkpoints for the daemon: a disk that stalls must not stall the daemon.

`python supervisor/survey/__main__.py survey` reads a SurveyRequest from stdin as JSON, and prints
the Survey as JSON. `... remove [SET_ASIDE]` reads a list of entries and deletes those checkpoints.
SET_ASIDE is the folder in the run directory that holds checkpoints set aside. `... serve` answers
surveys as long as stdin is open, so that no survey waits for Python to start.
"""

import json
import sys
from pathlib import Path

if __package__ in (None, ""):
    # This file was started by its path. Modules must not be looked for in its folder, but in the
    # one that holds the `supervisor` package.
    _HERE = str(Path(__file__).resolve().parent)
    sys.path[:] = [place for place in sys.path if place != _HERE]
    sys.path.append(str(Path(_HERE).parents[1]))

from supervisor.checkpoint.records import CheckpointEntry
from supervisor.core.vocabulary import ExitCode, Tier
from supervisor.survey.request import SurveyRequest
from supervisor.survey.survey import survey


def main(arguments: list[str]) -> int:
    """Answer one request; returns the exit code. stderr names a directory that cannot be read."""
    if arguments[:1] == ["remove"] and len(arguments) <= 2:
        run_root = Path(arguments[1]) if len(arguments) == 2 else None
        return _remove(
            [CheckpointEntry.from_json(entry) for entry in json.load(sys.stdin)], run_root
        )
    if arguments == ["serve"]:
        return _serve()
    if arguments != ["survey"]:
        usage = "survey|remove [SET_ASIDE]|serve < JSON"
        sys.stderr.write(f"usage: python supervisor/survey/__main__.py {usage}\n")
        return ExitCode.USAGE
    request = SurveyRequest.from_json(json.load(sys.stdin))
    try:
        answer = survey(request)
    except OSError as error:
        sys.stderr.write(f"{request.directory} cannot be read: {error.strerror or error}\n")
        return ExitCode.INTERNAL
    json.dump(answer.to_json(), sys.stdout)
    return ExitCode.FINISHED


def _serve() -> int:
    """Answer requests, each a line `{"id", "request", "answer"}` with the paths of two files.

    The Survey goes into the file `answer`. Then a line `{"id", "error"}` on stdout says so.
    """
    for line in sys.stdin:
        asked = json.loads(line)
        request = SurveyRequest.from_json(json.loads(Path(asked["request"]).read_bytes()))
        error = None
        try:
            answer = survey(request)
        except OSError as failure:
            error = f"{request.directory} cannot be read: {failure.strerror or failure}"
        else:
            Path(asked["answer"]).write_text(json.dumps(answer.to_json()))
        print(json.dumps({"id": asked["id"], "error": error}), flush=True)
        import supervisor.memory.snapshot_proof  # noqa: F401 - the next survey may need it at once

    return ExitCode.FINISHED


def _remove(entries: list[CheckpointEntry], run_root: Path | None) -> int:
    """Delete each checkpoint, and finish earlier removals. A failed one does not stop the rest."""
    from supervisor.checkpoint.prune import finish_removals, remove  # surveys need no such import

    code = ExitCode.FINISHED
    for entry in entries:
        try:
            remove(entry, run_root)
            if entry.tier == Tier.DISK:
                finish_removals(entry.path.parent, run_root)
        except OSError as error:
            sys.stderr.write(f"{entry.path} cannot be removed: {error.strerror or error}\n")
            code = ExitCode.INTERNAL
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
