"""Python tracebacks in an attempt's log, whose lines may come from many processes at once.

It sorts lines by the process that wrote them. `traceback_stream` reads the tracebacks.
"""

import re
from collections.abc import Sequence

from supervisor.diagnosis.line_memo import prefix_of
from supervisor.diagnosis.traceback_stream import EXCEPTION, HEADER, Chain, TracebackStream

_STREAMS_MAX = 256
_LABELS_MAX = 64
_LABELLED_WITHIN_LINES = 8
_LEAD_LINES = 20  # the line before a traceback may stand so far back in a mix of streams
# Text that Python itself prints before the header is no label.
_MARGIN = re.compile(r"(?:Original | {0,80}\+ Exception Group | {0,80}\| {1,4})$")
_NOT_PYTHON = ("nccl", "Lustre")


def find_chains(lines: Sequence[str]) -> list[Chain]:
    """All chains of exceptions in clean `lines`, sorted by their first lines."""
    first = next((at for at, line in enumerate(lines) if HEADER in line or 'File "' in line), None)
    if first is None:
        return []
    streams: dict[str, TracebackStream] = {}
    labels = _labels(lines[first:])
    done: list[Chain] = []
    for index in range(max(first - _LEAD_LINES, 0), len(lines)):
        stream, body, is_stamped = prefix_of(lines[index])
        for label in labels:
            if body.startswith(label):
                stream, body = stream + label, body[len(label) :]
                break
        if stream not in streams:
            if len(streams) >= _STREAMS_MAX:
                continue
            streams[stream] = TracebackStream(stream, done)
        streams[stream].feed(index, body, is_stamped)
    for state in streams.values():
        state.close_open()
        state.close_chain()
    return sorted(done, key=lambda chain: chain.start)


def exception_of(line: str) -> str | None:
    """The exception type that a line begins with ("ValueError: …"), or None."""
    found = EXCEPTION.match(line)
    if found is None or not found[1].endswith(("Error", "Exception", "Interrupt")):
        return None
    if found[1].startswith(_NOT_PYTHON) or found[1] == "Error":
        return None
    return found[1]


def _labels(lines: Sequence[str]) -> list[str]:
    """The texts before a traceback's header that its next lines begin with too: a host, a logger.

    A progress bar is no label: it has no line end, so the header stands behind it, but no frame.
    """
    labels: list[str] = []
    for index, line in enumerate(lines):
        if HEADER not in line or len(labels) >= _LABELS_MAX:
            continue
        body = prefix_of(line).body
        label = _MARGIN.sub("", body[: body.find(HEADER)])
        is_known = any(label.startswith(known) for known in labels)
        if label.strip() and not is_known:
            following = lines[index + 1 : index + 1 + _LABELLED_WITHIN_LINES]
            bodies = [prefix_of(other).body for other in following if 'File "' in other]
            if any(body.startswith(label) for body in bodies):
                labels.append(label)
    return labels
