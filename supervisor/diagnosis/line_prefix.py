"""Takes off what launchers and loggers put before a line: the label of a process, a time stamp.

A label must not be invented: "Error: ", "loss: 0.1" and "Epoch 3: " are text.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

_STEPS_MAX = 6
_NO_LABEL = (
    r"(?i:step|epoch|iter(?:ation)?|batch|layer|block|stage|phase|loss|error|warning|info|debug"
    r"|note"
    r"|version|line|utf|sha|cuda|python|bash|example|sample|val|train|test|eval|pass|part|try)"
)
# A label may end without a space: an even number of spaces is the line's own indent.
_GAP = r"(?: (?=(?:  ){0,100}(?! )))?"
_RANK = (
    # torch and torchrun --tee; torchrun's roles have any name.
    rf"\[(?:rank|default)\d{{1,6}}\]:?{_GAP}|\[Rank \d{{1,6}}\]:? |[Rr]ank ?\d{{1,6}}: "
    rf"|\[(?!{_NO_LABEL}[\-_]?\d)[A-Za-z][A-Za-z_\-]{{1,30}}\d{{1,6}}\]:{_GAP}"
    # mpirun, prterun
    rf"|\[[\w.@\-]{{0,80}}\d{{1,6}},\d{{1,6}}\]<std(?:err|out|diag)>:{_GAP}"
    # ray, skypilot: (Actor pid=1, ip=10.0.0.1), (worker1, rank=1, pid=1, ip=10.0.0.1)
    r"|\((?:[^()]{1,80}(?:\([^()]{0,80}\))?[^()]{0,60}[ ,])?pid=\d{1,9}(?:, ip=[\w.:]{1,60})?\) ?"
    # srun -l
    r"| {0,5}\d{1,5}: "
    # docker compose, kubectl logs --prefix
    rf"|(?!{_NO_LABEL}[-_ ]?\d)[A-Za-z0-9][\w.\-]{{0,80}}[-_]\d{{1,5}} {{1,30}}\| ?"
    r"|\[pod/[^\]\s]{1,250}\] ?"
    # kubeflow's replicas, hosts as pdsh and deepspeed name them
    r"|(?:[a-z0-9][a-z0-9.\-]{0,80}[-_.])?(?:worker|master|launcher|node|host|replica|chief|ps|gpu"
    r"|trainer|head)[-_]?\d{1,5}(?:-\d{1,5})?(?:\.[a-z][\w.\-]{0,80})?: "
    r"|ip-\d{1,3}-\d{1,3}-\d{1,3}-\d{1,3}(?:\.[\w.\-]{1,80})?: |localhost: "
)
_ISO = (
    r"\[?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?\]?"
    r"(?: ?\|| -|:)? ?"
)
_MONTH = r"[A-Z][a-z]{2} {1,2}\d{1,2} \d\d:\d\d:\d\d(?:\.\d{1,9})?"
_PROGRAM = r"[\w./@\-]{1,60}"
_STAMP = (
    # syslog and journald name the host and the process behind the time.
    rf"(?:{_ISO}|{_MONTH} )[\w.\-]{{1,80}} (?P<program>{_PROGRAM}\[\d{{1,9}}\]): "
    rf"|{_ISO}"
    rf"|{_MONTH} [\w.\-]{{1,80}} (?=kernel: |{_PROGRAM}: )"
    # dmesg -T and date; detectron2; logging's and rich's own forms
    rf"|\[?(?:[A-Z][a-z]{{2}} )?{_MONTH} (?:[A-Z]{{3,4}} )?\d{{4}}\]? "
    r"|\[\d\d/\d\d \d\d:\d\d:\d\d(?: [\w.]{1,80})?\]:? ?"
    r"|\[?\d\d/\d\d(?:/\d{2,4})? \d\d:\d\d:\d\d(?:[.,]\d{1,9})?\]?(?: -)? "
    r"|\[?\d\d:\d\d:\d\d(?:[.,]\d{1,9})?\]? |\[ {0,6}\d{1,9}\.\d{3,9}\] "
    # moreutils' `ts` has no host behind its time.
    rf"|{_MONTH} (?=[\w.\-]*[ :=\[(/%'\"{{]|[\w.\-]*$)(?![\w\-]*[\d.\-][\w.\-]* )"
    rf"|{_MONTH} [\w.\-]{{1,80}} "
)
_PREFIX = re.compile(rf"(?P<rank>{_RANK})|(?P<stamp>{_STAMP})")
# A progress bar ends without a newline; what another rank prints next stands in the same line.
_AFTER_BAR = re.compile(rf"(?<=\])(?P<rank>\[rank\d{{1,6}}\]:{_GAP})")
_BLANKS = re.compile(r" {1,3}(?=\[?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:)")
# Ray says how often other processes printed the same line.
_REPEATED = re.compile(r" ?\[repeated \d{1,9}x across cluster\].{0,200}$")
_ANY_LABEL = re.compile(
    rf"(?!{_NO_LABEL}\b)(?:[A-Za-z0-9](?=[\w.\-]{{0,80}}[\d.\-])[\w.\-]{{0,80}}: "
    r"|[A-Za-z0-9][\w.\-]{0,80} {1,30}\| ?)"
)
_LABELS_MAX = 64
_LABELLED_LINES_MIN = 8
_SAMPLE_LINES = 2000


class LinePrefix(NamedTuple):
    """A line taken apart: the label of its process ("" without one), the rest, and a time stamp."""

    stream: str
    body: str
    is_stamped: bool


def split_prefix(text: str, labels: Sequence[str] = ()) -> LinePrefix:
    """Take labels of processes and time stamps off a clean line.

    `labels`: what `common_labels` found in the whole log.
    """
    stream, position, is_stamped = "", 0, False
    for _ in range(_STEPS_MAX):
        found = _PREFIX.match(text, position)
        if found is None:
            label = next((one for one in labels if text.startswith(one, position)), None)
            if label is not None:
                stream, position = stream + label.strip(), position + len(label)
                continue
            blanks = _BLANKS.match(text, position)
            if blanks is None:
                break
            position = blanks.end()
            continue
        if found["rank"] is not None:
            stream += found["rank"].strip()
        else:
            is_stamped = True
            stream += found["program"] or ""
        position = found.end()
    if "][rank" in text and (late := _AFTER_BAR.search(text, position)) is not None:
        stream, position = stream + late["rank"].strip(), late.end()
    body = text[position:]
    if body.endswith((")", "]")) and "[repeated " in body:
        body = _REPEATED.sub("", body)
    return LinePrefix(stream, body, is_stamped)


def common_labels(lines: Sequence[str]) -> tuple[str, ...]:
    """The labels of a general form ("node: ", "name | ") that most of these clean lines carry.

    Only few different labels count, each on several lines: else the words are text.
    """
    counts: Counter[str] = Counter()
    full = 0
    for line in lines[-_SAMPLE_LINES:]:
        body = split_prefix(line).body
        full += bool(body.strip())
        found = _ANY_LABEL.match(body)
        if found is not None:
            counts[found[0]] += 1
    labels = {label: n for label, n in counts.items() if n > 1}
    labelled = sum(labels.values())
    if labelled < max(_LABELLED_LINES_MIN, 0.6 * full) or len(labels) > _LABELS_MAX:
        return ()
    return tuple(sorted(labels, key=len, reverse=True))
