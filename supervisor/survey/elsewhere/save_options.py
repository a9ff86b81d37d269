"""Which arguments and settings of trainers name a directory to save into: `--output_dir out`.

It reads no file. The table is wide: one directory too many costs only a look into it, one too few
may cost a training.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from typing import NamedTuple

# The last dotted part of an option, in lower case and with `_` for `-`.
_KEYS = frozenset(
    (
        *("output_dir", "outputdir", "output_directory", "output_path", "output_folder", "output"),
        *("out_dir", "outdir", "out_path", "out_folder", "out", "outputs_dir", "output_root"),
        *("save_dir", "savedir", "save_directory", "save_path", "save_folder", "save_root", "save"),
        *("save_to", "saves_dir", "save_model_dir", "save_model_path", "model_save_dir"),
        *("model_save_path", "model_dir", "models_dir", "model_output_dir", "model_out"),
        *("checkpoint_dir", "checkpoints_dir", "checkpoint_folder", "checkpoint_directory"),
        *("checkpoint_save_dir", "checkpoint_save_path", "save_checkpoint_path", "checkpoint_root"),
        *("save_checkpoint_dir", "checkpoint_output_dir", "checkpoint_out_dir"),
        *("ckpt_dir", "ckpts_dir", "ckpt_folder", "ckpt_save_dir", "ckpt_save_path", "ckpt_root"),
        *("default_root_dir", "dirpath", "weights_save_path", "work_dir", "workdir", "working_dir"),
        *("log_dir", "logdir", "logs_dir", "log_path", "logging_dir", "tensorboard_log"),
        *("job_dir", "run_dir", "rundir", "runs_dir", "exp_dir", "expdir"),
        *("experiment_dir", "experiments_dir", "experiment_path", "explicit_log_dir"),
        *("result_dir", "results_dir", "results_folder", "result_path", "snapshot_dir"),
        *("snapshot_path", "snapshots_dir", "dump_dir", "dump_folder", "dump_path"),
        *("storage_path", "serialization_dir", "artifacts_dir"),
    )
)
# `dir` alone may be anything. After a part in `_BEFORE_LAST` it says where to save:
# `hydra.run.dir`, `checkpoint.folder`.
_LAST = frozenset({"dir", "folder", "path", "directory", "root"})
_BEFORE_LAST = frozenset(
    {"run", "sweep", "checkpoint", "checkpoints", "checkpointing", "checkpointer", "ckpt"}
    | {"output", "save", "saver", "out"}
)
_ENVIRONMENT_KEYS = frozenset(
    {"output_dir", "outdir", "out_dir", "save_dir", "checkpoint_dir", "checkpoints_dir"}
    | {"ckpt_dir", "checkpoint_path", "sm_model_dir", "sm_checkpoint_dir", "aip_model_dir"}
    | {"aip_checkpoint_dir", "exp_dir", "experiment_dir", "results_dir", "work_dir", "run_dir"}
)
_SETTINGS_ENDINGS = (".yaml", ".yml", ".json", ".toml", ".ini", ".cfg", ".py", ".sh")
_NO_DIRECTORY = frozenset({"", "true", "false", "none", "null", "yes", "no", "on", "off"})
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh"})
_MOST_SCRIPT_CHARACTERS = 64 << 10
_OPTION = re.compile(r"(?P<dashes>-{0,2})\+{0,2}(?P<key>[A-Za-z][\w.\-/]{0,120})\Z", re.ASCII)
# `key: value` and `key = value`, bare or quoted, one or more to a line (YAML, JSON, TOML, INI).
_SETTING = re.compile(
    r"""(?<![\w.\-/"'])(?P<quote>["']?)(?P<key>[A-Za-z][\w.\-]{0,120})(?P=quote)\s{0,8}[:=]\s{0,8}"""
    r"""(?:"(?P<double>[^"\n]{0,4096})"|'(?P<single>[^'\n]{0,4096})'"""
    r"""|(?P<bare>[^\s"'#,\[\]{}][^"'#,\n\]}]{0,4096}(?:\$\{[^}\n]{0,200}\}[^"'#,\n\]}]{0,4096})*)?)""",
    re.ASCII,
)
_COMMENT = re.compile(r"""(?P<code>\A(?:[^"'#]|"[^"]*"|'[^']*'|(?<=\S)#)*+)(?<!\S)#.*""")
_PATH = re.compile(r"[.~/$]|[^/]+/")
_CODE_ENDINGS = (".py", ".so", ".o", ".sh", ".txt", ".log")


class Setting(NamedTuple):
    """An option with its value; the key as it was written, dots and all."""

    key: str
    value: str


def named_in(argv: Sequence[str]) -> Iterator[str]:
    """The values in a command line that name directories to save into, unchanged.

    `project=runs name=exp` names two: `runs` and `runs/exp`. A script given to `bash -c` is
    searched as well.
    """
    project = name = None
    for dotted, value in _options(list(with_scripts(argv))):
        key = _last_part(dotted)
        if key == "project":
            project = value
        elif key in ("name", "run_name"):
            name = value
        is_path = _PATH.match(value) is not None and not value.endswith(_CODE_ENDINGS)
        if (dotted == "o" and is_path) or _is_named(dotted, value):
            yield value
    if project is not None and project.lower() not in _NO_DIRECTORY:
        yield project
        if name is not None:
            yield f"{project}/{name}"


def named_in_text(text: str, *, is_code: bool = False) -> Iterator[str]:
    """The values in a settings file that name directories; in code, only those in quotes."""
    above: list[tuple[int, str]] = []
    section = ""
    for line in text.splitlines():
        line = _COMMENT.sub(r"\g<code>", line)
        content = line.lstrip()
        if content.startswith((";", "//")):
            continue
        if header := re.match(r"\[+([\w.\-\"]{1,120})\]+\s*(?:#.*)?\Z", content, re.ASCII):
            section = header[1]
            continue
        indent = len(line) - len(content)
        while above and above[-1][0] >= indent:
            above.pop()
        outer = above[-1][1] if above else section
        for match in _SETTING.finditer(line):
            quoted = match["double"] if match["double"] is not None else match["single"]
            bare = (match["bare"] or "").strip()
            if quoted is None and not bare:
                above.append((indent, match["key"]))
                outer = match["key"]
            value = bare if quoted is None else quoted
            # A bare `~` is YAML's null.
            is_taken = quoted is not None or not (is_code or bare == "~")
            if is_taken and _is_named(f"{outer}.{match['key']}", value):
                yield value


def _is_named(dotted: str, value: str) -> bool:
    """Whether an option says where to save: `output_dir`, `trainer.default-root-dir`."""
    if value.lower() in _NO_DIRECTORY:
        return False
    parts = [part for part in re.split(r"[./]", dotted.lower().replace("-", "_")) if part]
    if not parts:
        return False
    if parts[-1] in _LAST:
        return len(parts) > 1 and parts[-2] in _BEFORE_LAST
    return parts[-1] in _KEYS


def is_directory_variable(name: str) -> bool:
    """Whether a variable of the environment says where to save."""
    return name.lower() in _ENVIRONMENT_KEYS


def settings_files(argv: Sequence[str]) -> Iterator[str]:
    """Values that may be settings files, by their endings; Hydra's folder and name, joined."""
    found: dict[str, str] = {}
    for argument in with_scripts(argv):
        value = argument.partition("=")[2] if "=" in argument else argument
        if argument.startswith("@"):
            yield argument
        elif value.lower().endswith(_SETTINGS_ENDINGS):
            yield value
    for dotted, value in _options(list(argv)):
        found[_last_part(dotted)] = value
    if (name := found.get("config_name", found.get("cn"))) is not None:
        folder = found.get("config_path", found.get("config_dir", found.get("cp", "conf")))
        yield f"{folder}/{name}" if name.endswith((".yaml", ".yml")) else f"{folder}/{name}.yaml"


def with_scripts(argv: Sequence[str]) -> Iterator[str]:
    """The arguments, with a script given to a shell (`bash -c`) replaced by its words."""
    is_shell = is_script_next = False
    for argument in argv:
        if is_script_next and len(argument) <= _MOST_SCRIPT_CHARACTERS:
            yield from words_of(argument)
        else:
            yield argument
        is_shell = is_shell or argument.rpartition("/")[2] in _SHELLS
        is_script_next = is_shell and re.fullmatch(r"-[a-z]*c", argument) is not None


def words_of(text: str) -> Sequence[str]:
    """The words of a line as a shell would see them; split at blanks where a quote stays open."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=";&|()<>")
    lexer.whitespace_split = True
    try:
        return list(lexer)
    except ValueError:
        return text.split()


def _options(arguments: Sequence[str]) -> Iterator[Setting]:
    """`--key value`, `--key=value`, `-key value` and `key=value`, in order."""
    for argument, following in zip(arguments, (*arguments[1:], ""), strict=False):
        name, equals, value = argument.partition("=")
        match = _OPTION.match(name)
        if match is None:
            continue
        if equals:
            yield Setting(match["key"], value.strip("\"'"))
        elif match["dashes"] and following and not following.startswith("-"):
            yield Setting(match["key"], following)


def _last_part(dotted: str) -> str:
    return re.split(r"[./]", dotted.lower().replace("-", "_"))[-1]
