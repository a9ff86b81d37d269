"""The name that a run gets from its command: that of the script, module or tool that trains.

It reads no file, and starts nothing.
"""

import re
import shlex
from collections.abc import Sequence

from supervisor.cli.start.wrappers import Wrapper, module_wrapper, wrapper_of
from supervisor.config.source import name_of

_PYTHON = re.compile(r"(?:python|pypy|ipython)[0-9.]*[td]*")
_SHELLS = frozenset({"bash", "sh", "zsh", "dash", "ksh", "fish"})
_SUFFIXES = (".py", ".sh", ".bash", ".zsh", ".jl", ".pl", ".exe")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")


def command_name(command: Sequence[str]) -> str:
    """The name of the first Python script, else of the module or tool, behind all wrappers."""
    return name_of(_program(list(command)))


def is_assignment(word: str) -> bool:
    """Whether a word reads as `VARIABLE=value`."""
    return _ASSIGNMENT.match(word) is not None


def _program(words: list[str]) -> str:
    if not words:
        return ""
    tool, rest = _base(words[0]), words[1:]
    if _PYTHON.fullmatch(tool):
        return _of_python(tool, rest)
    if tool in _SHELLS:
        return _of_shell(tool, rest)
    wrapper = wrapper_of(tool)
    if wrapper is not None:
        return _behind(wrapper, rest) or _anywhere(rest) or tool
    if words[0].endswith(".py"):
        return _stem(words[0])
    # What it runs is not known: a script among its words is the likeliest.
    return _anywhere(rest) or _stem(words[0])


def _behind(wrapper: Wrapper, words: list[str]) -> str:
    """The program that a wrapper runs; nothing where none is found."""
    own, verbs, place = wrapper.own_arguments, wrapper.verbs, 0
    while place < len(words):
        word = words[place]
        place += 1
        if word == "--":
            return _program(words[place:])
        if word in ("-m", "--module") and wrapper.takes_script:
            continue_at = words[place:]
            return _of_module(continue_at[0], continue_at[1:]) if continue_at else ""
        if word.startswith("-") and len(word) > 1:
            name, equals, _ = word.partition("=")
            place += 0 if equals else wrapper.values_of(name)
        elif verbs and word in verbs:
            verbs = ()
        elif verbs:
            return ""  # another subcommand: it runs nothing
        elif is_assignment(word):
            continue  # `env A=b`
        elif own:
            own -= 1
        else:
            return _program(words[place - 1 :])
    return ""


def _of_python(tool: str, words: list[str]) -> str:
    """The script or module of a Python's command line (Python/getopt.c)."""
    place = 0
    while place < len(words):
        word = words[place]
        place += 1
        if word == "--check-hash-based-pycs":
            place += 1
        elif not word.startswith("-") or word in ("-", "--"):
            at = place if word == "--" else place - 1
            return _stem(words[at]) if at < len(words) and words[at] != "-" else tool
        elif not word.startswith("--"):
            letter = next((one for one in word[1:] if one in "mcWX"), "")
            attached = word.partition(letter)[2] if letter else ""
            if letter == "c":
                return tool
            if letter == "m":
                after = [attached, *words[place:]] if attached else words[place:]
                return _of_module(after[0], after[1:]) if after else tool
            place += int(bool(letter) and not attached)
    return tool


def _of_module(module: str, words: list[str]) -> str:
    """What a module runs, if it is a launcher; else its own name, unless it is given a script."""
    wrapper = module_wrapper(module)
    found = "" if wrapper is None else _behind(wrapper, words)
    return found or _anywhere(words, is_program_known=True) or module


def _of_shell(tool: str, words: list[str]) -> str:
    place = 0
    while place < len(words):
        word = words[place]
        place += 1
        if word in ("-o", "+o", "-O", "+O", "--rcfile", "--init-file"):
            place += 1
        elif word.startswith("-") and not word.startswith("--") and "c" in word:
            inside = _split(words[place]) if place < len(words) else []
            scripts = (_stem(one) for one in inside if one.endswith(".sh"))
            return _anywhere(inside) or next(scripts, tool)
        elif not word.startswith(("-", "+")):
            return _stem(word)
    return tool


def _split(line: str) -> list[str]:
    """The words of a shell's line, as far as they can be told apart."""
    try:
        found = shlex.split(line, comments=True)
    except ValueError:
        found = line.split()
    return [word.strip(";&|()") for word in found]


def _anywhere(words: list[str], *, is_program_known: bool = False) -> str:
    """The first Python script among words, else what a Python among them runs, else nothing.

    `is_program_known`: a script behind an option may be that option's value (`--config a.py`).
    """
    scripts = (
        word
        for before, word in zip(["", *words], words, strict=False)
        if word.endswith(".py") and not word.startswith("-")
        if not (is_program_known and _takes_value(before))
    )
    script = next(scripts, None)
    if script is not None:
        return _stem(script)
    for place, word in enumerate(words):
        if _PYTHON.fullmatch(_base(word)):
            found = _of_python("", words[place + 1 :])
            if found:
                return found
    return ""


def _takes_value(word: str) -> bool:
    """Whether the next word may be the value of this option."""
    return word.startswith("--") and "=" not in word and word != "--"


def _base(word: str) -> str:
    return word.rstrip("/").rpartition("/")[2]


def _stem(word: str) -> str:
    base = _base(word)
    suffix = next((one for one in _SUFFIXES if base.endswith(one) and base != one), "")
    return base.removesuffix(suffix)
