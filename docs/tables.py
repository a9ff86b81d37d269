"""Writes the tables in docs/ that are made from the code, for `make docs`.

The text below a field in the code becomes its description on the page. The text around the tables
is written by hand.
"""

import ast
import inspect
import re
from collections.abc import Iterable, Iterator
from dataclasses import Field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic.fields import FieldInfo

from supervisor.checkpoint.formats.table import TOOLS
from supervisor.config.durations import format_duration
from supervisor.config.meanings import key_meanings, texts_below
from supervisor.config.model import RunConfig
from supervisor.config.sections import Section, section_below
from supervisor.core.entries.reading import KINDS
from supervisor.core.json_object import KEY, JsonObject
from supervisor.core.status import Status
from supervisor.core.unwatched_status import NoDaemon, StillRunning
from supervisor.daemon.look.printed_course import Course, PrintedCourse
from supervisor.daemon.look.tool_lines import TOOL_LINES
from supervisor.daemon.tell.metrics_text import METRICS, PREFIX
from supervisor.diagnosis.log_line import clean

RUN_DIRECTORY, CONFIGURATION, TRAINERS = map(
    Path(__file__).with_name, ("run-directory.md", "configuration.md", "trainers.md")
)
# A printed line is shown up to about so many characters.
_LINE_CHARS = 110
MONITORING = Path(__file__).with_name("monitoring") / "README.md"
# Documents that `supervisor status --json` prints besides the status.
_ADDED = {"no_daemon": NoDaemon, "still_running": StillRunning}
# A key's documentation may name its default; the model then has only None.
_DEFAULT = re.compile(r" ?Default: (.+?)\.(?= |$)")


def run_directory(page: str) -> str:
    """The page with tables made from the present code.

    Raises ValueError without the table marks.
    """
    page = _between(page, "status", _table("key | | its keys", status_rows()))
    return _between(page, "ledger", _table("type | | keys", ledger_rows()))


def configuration(page: str) -> str:
    """The same for the configuration page, with a table for each section."""
    page = _between(page, "top", _keys("", RunConfig))
    for name, field in RunConfig.model_fields.items():
        if (section := section_below(field)) is not None:
            about = key_meanings()[name].text
            page = _between(page, name, [about, "", *_keys(f"{name}.", section)])
    return page


def trainers(page: str) -> str:
    """The same for the page of training libraries."""
    page = _between(page, "resume", _table("tool | how it is told to resume", _resume_rows()))
    return _between(page, "log", _table("tool | a line of its log | shown", _log_rows()))


def _resume_rows() -> Iterator[str]:
    for said in (tool.resume for tool in TOOLS if tool.resume is not None):
        name, _, how = said.partition(": ")
        yield f"| {name} | {how} |"


def _log_rows() -> Iterator[str]:
    for row in TOOL_LINES:
        line = " ".join(clean(row.example).split())
        if len(line) > _LINE_CHARS:
            line = line[:_LINE_CHARS].rpartition(" ")[0] + " …"
        cell = line.replace("|", "\\|")
        # keras draws the same bars where it evaluates: they count below an epoch's heading alone.
        heading = ["Epoch 3/10"] if row.tool.startswith("keras") else []
        course = PrintedCourse().look([*heading, row.example], "", 0.0)
        yield f"| {row.tool} | `{cell}` | {_course(course)} |"


def _course(course: Course) -> str:
    """A course as `supervisor status` words it."""
    of = "" if course.total is None else f" of {course.total:,}"
    batches = "" if course.batches is None else f"/{course.batches:,}"
    parts = [
        None if course.step is None else f"step {course.step:,}{of}",
        None if course.epoch is None else f"epoch {course.epoch}",
        None if course.batch is None or course.step is not None else f"{course.batch}{batches}",
        None if course.loss is None else f"loss {course.loss:.4g}",
    ]
    return ", ".join(part for part in parts if part is not None)


def monitoring(page: str) -> str:
    """The page on metrics with its table."""
    rows = [
        f"| `{PREFIX}{metric.name}` | {metric.type} | {_phrase(metric.help)}"
        f" | {'stays' if metric.lasts else ''} |"
        for metric in METRICS
    ]
    return _between(page, "metrics", _table("metric | type | meaning | after the end", rows))


def _keys(above: str, section: type[Section]) -> list[str]:
    """The table of a section's keys."""
    meanings, rows = key_meanings(), []
    for name, field in section.model_fields.items():
        if section_below(field) is None:
            text = meanings[above + name].text
            told = _DEFAULT.search(text)
            default = _default(field) if told is None else told[1]
            rows.append(f"| `{name}` | {default} | {_phrase(_DEFAULT.sub('', text))} |")
    return _table("key | default | meaning", rows)


def _default(field: FieldInfo) -> str:
    """The default of a key, as the file would write it."""
    if field.is_required():
        return "required"
    match field.get_default(call_default_factory=True):
        case None:
            return "none"
        case float(seconds):
            return f"`{format_duration(seconds)}`"
        case tuple(items):
            return f"`[{', '.join(items)}]`"
        case value:
            return f"`{value}`"


def status_rows() -> Iterator[str]:
    """A row for each key of `status.json`, and for each document that `--json` adds."""
    said = sentences(Status)
    for field in _fields(Status):
        yield from _row(_key(field), said.get(field.name), _record_in(field.type))
    for name, kind in _ADDED.items():
        yield from _row(name, f"{_about(kind)} Only in `supervisor status --json`", kind)


def ledger_rows() -> Iterator[str]:
    """A row for each kind of entry, and for each record in an entry."""
    for name, kind in KINDS.items():
        yield from _row(name, _about(kind), kind)


def sentences(kind: type) -> dict[str, str]:
    """The text below each field of a class, in one line."""
    (definition,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(definition, ast.ClassDef)
    return {name: " ".join(text.split()) for name, text in texts_below(definition)}


def _row(name: str, text: str | None, kind: type | None) -> Iterator[str]:
    """The row of a name: its text and its record's fields; then a row for each record in it."""
    told = [] if kind is None else _fields(kind)
    said = {} if kind is None else sentences(kind)
    inner = {field.name: found for field in told if (found := _record_in(field.type))}
    members = [
        f"`{_key(field)}`"
        + (f" ({_phrase(said[field.name])})" if field.name in said.keys() - inner.keys() else "")
        for field in told
    ]
    yield f"| `{name}` | {_phrase(text)} | {', '.join(members)} |"
    for field in told:
        if field.name in inner:
            yield from _row(f"{name}.{_key(field)}", said.get(field.name), inner[field.name])


def _fields(kind: type) -> "list[Field[Any]]":
    """The fields of a record without those of its base class."""
    base = {field.name for field in fields(JsonObject)} if issubclass(kind, JsonObject) else set()
    return [field for field in fields(kind) if field.name not in base]


def _key(field: "Field[Any]") -> str:
    return str(field.metadata.get(KEY, field.name))


def _record_in(annotation: Any) -> type | None:
    """The dataclass that a field holds, alone or in a collection; None if it holds none."""
    if isinstance(annotation, type) and is_dataclass(annotation):
        return annotation
    return next(filter(None, map(_record_in, get_args(annotation))), None)


def _about(kind: type) -> str:
    """The first paragraph of a class's docstring, in one line."""
    return " ".join(inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0].split())


def _phrase(sentence: str | None) -> str:
    """A sentence as a table shows it: without a full stop, and with a small first letter."""
    text = (sentence or "").removesuffix(".")
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def _table(columns: str, rows: Iterable[str]) -> list[str]:
    rule = "---|" * (columns.count("|") + 1)
    return [f"| {columns} |", f"|{rule}", *rows]


def _between(page: str, name: str, lines: list[str]) -> str:
    first, last = f"<!-- {name}: made by `make docs` -->\n", f"<!-- {name}: end -->\n"
    head, rest = page.split(first)
    _, tail = rest.split(last)
    return head + first + "".join(f"{line}\n" for line in lines) + last + tail


if __name__ == "__main__":
    RUN_DIRECTORY.write_text(run_directory(RUN_DIRECTORY.read_text()))
    CONFIGURATION.write_text(configuration(CONFIGURATION.read_text()))
    TRAINERS.write_text(trainers(TRAINERS.read_text()))
    MONITORING.write_text(monitoring(MONITORING.read_text()))
