"""The table of tools: a format that is not in the table would never be used."""

from importlib import import_module
from pkgutil import iter_modules

from supervisor.checkpoint import formats
from supervisor.checkpoint.formats.table import TOOLS


def test_each_tool_has_a_row() -> None:
    """Every module with a tool's format is in the table, once."""
    modules = [
        import_module(f"{formats.__name__}.{one.name}") for one in iter_modules(formats.__path__)
    ]
    known = [module.FORMAT for module in modules if hasattr(module, "FORMAT")]
    assert len(known) > 10
    assert sorted(map(id, known)) == sorted(map(id, TOOLS))
