"""Every problem of a configuration at once, each with its place and what to write instead."""

from pathlib import Path

import pytest

from supervisor.config.kept import read_kept
from supervisor.config.load import load_config
from supervisor.config.problems import ConfigError, Problem

CODES = "command: [a]\nrestart: {exit_codes: "


def problems_of(tmp_path: Path, text: str | bytes) -> tuple[Problem, ...]:
    """The problems of a text."""
    path = tmp_path / "run.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert caught.value.code == 78
    assert caught.value.hint
    return caught.value.problems


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    """Ten mistakes in one file are ten problems, in the order of the file, each with its line."""
    found = problems_of(
        tmp_path,
        """\
name: a b
command: []
checkpoints: {kep: 5}
resume: {args: ["{chekpoint}"], if_none_valid: helt}
watch: {heartbeat_timeout: 5x, progress: '(\\d+'}
restart: {max_failures: 0}
grace: 0s
signals: [KILL]
env: {OMP_NUM_THREADS: 1}
colour: red
""",
    )
    assert [(p.line, p.key) for p in found] == [
        (1, "name"),
        (2, "command"),
        (3, "checkpoints.kep"),
        (4, "resume.args"),
        (4, "resume.if_none_valid"),
        (5, "watch.heartbeat_timeout"),
        (5, "watch.progress"),
        (6, "restart.max_failures"),
        (7, "grace"),
        (8, "signals[0]"),
        (9, "env.OMP_NUM_THREADS"),
        (10, "colour"),
    ]


INTERVAL = "command: [a]\ncheckpoints: "


@pytest.mark.parametrize(
    ("section", "key", "what"),
    [
        ("{interval: 500}", "interval", "expected auto; a fixed number of steps is set in the"),
        ("{interval: 10m}", "interval", "expected auto"),
        ("{interval: on}", "interval", "expected auto"),
        ("{interval: auto, interval_min: 0}", "interval_min", "more than 0s"),
        ("{interval: auto, interval_max: often}", "interval_max", "duration"),
        ("{interval: auto, interval_min: 5h}", "interval_max",
         "interval_min (18000s) is longer than interval_max (14400s)"),
    ],
)  # fmt: skip
def test_save_intervals_that_are_none(tmp_path: Path, section: str, key: str, what: str) -> None:
    """The error says what is expected, and where a number of steps belongs."""
    (found,) = problems_of(tmp_path, f"{INTERVAL}{section}\n")
    assert found.key == f"checkpoints.{key}"
    assert what in found.message


PROGRESS = "command: [a]\nwatch: "


@pytest.mark.parametrize(
    ("text", "key", "says"),
    [
        ("command: [a]\ncheckpoint: {}", "checkpoint", "did you mean 'checkpoints'?"),
        ("command: [a]\nkeep: 3", "keep", "did you mean 'checkpoints.keep'?"),
        ("command: [a]\nwatch: {heartbeat-timeout: 5m}", "watch.heartbeat-timeout", "'heartbeat_t"),
        ("command: [a]\nresume: {existing: usee}", "resume.existing", "did you mean 'use'?"),
        ("command: [a]\nresume: {args: ['{stepp}']}", "resume.args", "did you mean {step}?"),
        ("command: [a]\nresume: {fresh_args: ['{step}']}", "resume.fresh_args", "no checkpoint"),
        ("command: python x.py 'a b'", "command", "[python, x.py, 'a b']"),
        ("command: ['']", "command", "the first word must be the program"),
        ("name: x", "command", "is missing"),
        ("command: [a, on]", "command[1]", 'write "on"'),
        ("command: [a, [b]]", "command[1]", "found a list"),
        ('command: [a, "b\\0c"]', "command[1]", "NUL"),
        ("command: [a]\nenv: {A: yes}", "env.A", 'write "yes"'),
        ("command: [a]\nenv: {A: 007}", "env.A", 'write "007"'),
        ("command: [a]\nenv: {A: }", "env.A", 'write ""'),
        ("command: [a]\nenv: {1: x}", "env[1]", "a key must be text"),
        ("command: [a]\nenv: {'A=B': x}", "env.A=B", "environment variable"),
        ("command: [a]\nenv: [A]", "env", "expected keys with values"),
        ("command: [a]\nlaunch: fast", "launch", "expected keys with values"),
        ("command: [a]\nlaunch: {preload: torch}", "launch.preload", "list of module names"),
        ("command: [a]\nsignals: TERM", "signals", "expected a list"),
        ("command: [a]\nfinish: {step: 5, file: x}", "finish.file", "not both"),
        ("command: [a]\nwatch: {progress: '(\\d+)'}", "watch.progress", "(?P<step>"),
        (f"{PROGRESS}{{progress: '(?P<step>.)(?P<acc>.)'}}", "watch.progress", "a group named acc"),
        (f"{PROGRESS}{{progress: '(?P<step>.)(?P<lr>.)'}}", "watch.progress", "total and epoch"),
        ("command: [a]\nwatch: {log_silence: auto}", "watch.log_silence", "expected a duration"),
        ("command: [a]\nrestart: {backoff: 10m}", "restart.backoff_max", "longer than backoff_max"),
        (f"{CODES}{{'137': hold}}}}", "restart.exit_codes.137", "write 137 without quotes"),
        (f"{CODES}{{yes: hold}}}}", "restart.exit_codes", "a number from 1 to 255, found true"),
        (f"{CODES}{{1.5: hold}}}}", "restart.exit_codes.1.5", "1 to 255, found 1.5"),
        (f"{CODES}{{300: hold}}}}", "restart.exit_codes[300]", "1 to 255, found 300"),
        (f"{CODES}{{-1000: hold}}}}", "restart.exit_codes[-1000]", "1 to 255, found -1000"),
        (f"{CODES}{{-9: hold}}}}", "restart.exit_codes[-9]", "signal 9 is written 137"),
        (f"{CODES}{{SIGKILL: hold}}}}", "restart.exit_codes.SIGKILL", "is written 137"),
        (f"{CODES}{{term: hold}}}}", "restart.exit_codes.term", "death by SIGTERM is written 143"),
        (f"{CODES}{{other: hold}}}}", "restart.exit_codes.other", "found 'other'"),
        (f"{CODES}{{~: hold}}}}", "restart.exit_codes.None", "1 to 255, found nothing"),
        (f"{CODES}{{0: hold}}}}", "restart.exit_codes[0]", "`finish` can ask for more"),
        (f"{CODES}{{75: hold}}}}", "restart.exit_codes[75]", "have the command exit with another"),
        (f"{CODES}{{78: free}}}}", "restart.exit_codes[78]", "have the command exit with another"),
        (f"{CODES}{{3: fre}}}}", "restart.exit_codes[3]", "did you mean 'free'?"),
        (f"{CODES}{{3: off}}}}", "restart.exit_codes[3]", "'hold' or 'free', found false"),
        (f"{CODES}{{3: hold, 0x3: free}}}}", "restart.exit_codes.0x3", "a second time"),
        (f"{CODES}{{1: hold, yes: free}}}}", "restart.exit_codes.yes", "a second time"),
        (f"{CODES}[3]}}", "restart.exit_codes", "expected keys with values"),
        ("command: [a]\ncheckpoints: {keep: true}", "checkpoints.keep", "whole number"),
        ("command: [a]\ncheckpoints: {keep: '5'}", "checkpoints.keep", "whole number"),
        (
            "command: [a]\ngrace: 5m\ngrace: 6m",
            "grace",
            "stands here a second time: put both together in line 2",
        ),
        ("command: [a]\nwatch: {log_silence: 5, log_silence: 6}", "watch.log_silence", "second"),
    ],
)
def test_a_problem_names_its_key_and_what_to_write(
    tmp_path: Path, text: str, key: str, says: str
) -> None:
    """Each mistake is one problem that tells how to correct it."""
    (problem,) = problems_of(tmp_path, text)
    assert problem.key == key
    assert says in str(problem)
    assert problem.line is not None


def test_a_key_is_found_however_it_is_typed(tmp_path: Path) -> None:
    """Numbers and truth values are told with the line that they stand in."""
    codes = "137: holt\n0x20: holt\non: hold\n3: free\n"
    text = "command: [a]\nrestart:\n  exit_codes:\n" + "".join(
        f"    {c}\n" for c in codes.split("\n")
    )
    assert [problem.line for problem in problems_of(tmp_path, text)] == [4, 5, 6]


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        (b"", None, "is empty"),
        (b"# only a comment\n", None, "is empty"),
        (b"- a\n- b\n", 1, "found a list"),
        (b"just words\n", 1, "found one text"),
        (b"a:\n\tb: 1\n", 2, "a tab"),
        (b"a: [1\nb: 2\n", 2, "not YAML"),
        (b"name: x\ncommand: [caf\xe9]\n", 2, "not UTF-8"),
        (b"a: 1\n---\nb: 2\n", 2, "single document"),
        (b"command: !!python/object/apply:os.system [x]\n", 1, "tag"),
        (b"a: \x00\n", None, "not YAML"),
        (b"x: 2026-99-99\n", None, "not readable YAML"),
        (b"a" * (2 << 20), None, "not a configuration"),
        (b"[" * 5000, None, "not readable YAML"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_is_no_configuration_is_said_to_be_none(
    tmp_path: Path, content: bytes, line: int | None, says: str
) -> None:
    """A file of any other kind gives one clear problem, never a traceback."""
    (problem,) = problems_of(tmp_path, content)
    assert problem.line == line
    assert says in problem.message


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_a_path_that_is_no_file_is_named(tmp_path: Path, name: str) -> None:
    """A missing file and a directory are configuration errors that name the path."""
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def test_anchors_cannot_blow_up_or_loop(tmp_path: Path) -> None:
    """An alias of itself and a billion laughs end as ordinary problems."""
    bomb = "a: &a [x, x]\n" + "".join(
        f"{b}: &{b} [{', '.join(f'*{a}' for _ in range(9))}]\n"
        for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert problems_of(tmp_path, bomb + "command: *i\n")
    assert problems_of(tmp_path, "command: &a [*a]\n")


@pytest.mark.parametrize(
    ("text", "key", "says"),
    [
        ("notify: slack://SECRET", "notify", "found a text"),
        ("notify: {events: 'slack://SECRET'}", "notify.events", "found a text"),
        ("notify: {events: ['slack://SECRET']}", "notify.events[0]", "found a text"),
        ("notify: {every: 'https://SECRET'}", "notify.every", "found a text"),
        ("notify: {not_more_than: 'https://SECRET'}", "notify.not_more_than", "found a text"),
        ("notify: {to: 'slack://SECRET'}", "notify.to", "must be a list"),
        ("notify: {to: ['SECRET']}", "notify.to", "item 1 is no address"),
        ("notify: {ping: 'slack://SECRET'}", "notify.ping", "must begin with https"),
        ("notify: {ping: 7357}", "notify.ping", "found a number; put it into quotes"),
        ("notify: {5: x}", "notify[5]", "a key must be text, found a number"),
        ("notify: {'slack://SECRET': x}", "notify.slack://…", "no such key"),
        ("'slack://SECRET/a': x", "slack://…", "no such key"),
        ("hooks: {held: [curl, {x: SECRET}]}", "hooks.held.command[1]", "found a mapping"),
        ("hooks: {held: {command: [a], timeout: SECRET}}", "hooks.held.timeout", "found a text"),
        ("hooks: {held: {command: [a], token: SECRET}}", "hooks.held.token", "no such key"),
        ("hooks: SECRET", "hooks", "found a text"),
        ("env: {'slack://SECRET': [x]}", "env.slack://…", "expected text"),
        ("notify: {'s://SECRET': x, 's://SECRET': y}", "notify.s://…", "a second time"),
        ("notify: {'s://SECRET': {every: 1m, every: 1m}}", "notify.s://….every", "a second time"),
    ],
)
def test_no_secret_is_shown(tmp_path: Path, text: str, key: str, says: str) -> None:
    """An address in the wrong place is a secret all the same: no message shows a part of it."""
    problems = problems_of(tmp_path, f"command: [a]\n{text}\n")
    shown = "\n".join(str(one) for one in problems)
    assert says in shown
    assert any(key in one.key for one in problems)
    assert "SECRET" not in shown
    assert "7357" not in shown


def test_a_kept_copy_that_cannot_be_read_shows_no_secret() -> None:
    """The daemon prints why it cannot read the copy; the copy holds the addresses."""
    with pytest.raises(ValueError, match="notify") as caught:
        read_kept(b'{"command": ["a"], "notify": {"every": "slack://SECRET", "to": "SECRET"}}')
    assert "SECRET" not in str(caught.value)
