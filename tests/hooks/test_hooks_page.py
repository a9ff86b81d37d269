"""The page on hooks says what a hook really gets."""

from pathlib import Path

from supervisor.config.durations import format_duration
from supervisor.config.hook_section import DEADLINES_S, HOOKS
from supervisor.hooks.facts import FACTS, as_variables

PAGE = (Path(__file__).parents[2] / "docs" / "hooks.md").read_text()


def test_each_fact_is_on_the_page() -> None:
    """With its variable and its meaning."""
    for (name, text), variable in zip(FACTS.items(), as_variables({}), strict=True):
        assert f"| `{name}` | `{variable}` | {text} |" in PAGE


def test_each_hook_is_on_the_page_with_its_deadline() -> None:
    """The page writes `1 min` where a configuration has `1m`."""
    for name in HOOKS:
        rows = [line for line in PAGE.splitlines() if line.startswith(f"| `{name}` | ")]
        deadline = format_duration(DEADLINES_S[name]).replace("m", " min")
        assert rows[0].endswith(f"| {deadline} |")
