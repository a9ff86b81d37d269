"""A command line as it was typed, to be printed again with a change; `--` and what follows apart.

Without this click would take the first word behind `--` for an argument of ours.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import click

from supervisor.cli.show.advice import shell_word
from supervisor.daemon.look.surroundings.variables import MASK, masked

_KEY = "supervisor.typed_line"
_GENERAL = re.compile(r"`supervisor run CONFIG (--[a-z-]+)`")


@dataclass(frozen=True, slots=True)
class TypedLine:
    """`supervisor VERB HEAD… [-- COMMAND…]`."""

    verb: str
    head: tuple[str, ...] = ()
    command: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """As a shell takes it."""
        words = ["supervisor", self.verb, *self.head]
        words += ["--", *self.command] if self.command else []
        return " ".join(shell_word(word) for word in words)

    @property
    def to_type(self) -> str:
        """The line for a person to type; what may be secret is left out, since logs keep errors."""
        public = replace(self, command=masked(self.command))
        if public == self:
            return self.text
        return f"{public.text}\n  (with your own value in the place of {MASK})"

    def with_option(self, option: str, value: str) -> "TypedLine":
        """The line with this option, in the place of what it has of it."""
        return replace(self, head=(*_without(self.head, option), option, value))

    def named_in(self, hint: str) -> str:
        """A hint that says `supervisor run CONFIG --option`, with this line in that place."""
        public = replace(self, command=masked(self.command))
        return _GENERAL.sub(
            lambda found: f"`{replace(public, head=(*public.head, found[1])).text}`", hint
        )

    def with_command(self, command: Sequence[str]) -> "TypedLine":
        """The line with another command."""
        return replace(self, command=tuple(command))


def _without(head: Sequence[str], option: str) -> list[str]:
    kept, is_value = [], False
    for word in head:
        if is_value or word == option:
            is_value = not is_value
        elif not word.startswith(f"{option}="):
            kept.append(word)
    return kept


class CommandAfterDashes(click.Command):
    """A command that keeps the words behind `--` apart."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the training command off before click reads the rest."""
        at = args.index("--") if "--" in args else len(args)
        ctx.meta[_KEY] = TypedLine(self.name or "", tuple(args[:at]), tuple(args[at + 1 :]))
        return super().parse_args(ctx, args[:at])


def typed_line(ctx: click.Context) -> TypedLine:
    """The line of a `CommandAfterDashes`."""
    line: Any = ctx.meta[_KEY]
    assert isinstance(line, TypedLine)
    return line
