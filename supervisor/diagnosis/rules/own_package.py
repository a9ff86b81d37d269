"""What Python prints if the script imports this project and its Python does not have it.

`pip install supervisor` would bring another program, so the general advice would mislead.
"""

from supervisor.core.ending import Advice
from supervisor.diagnosis.rules.configuration import wrong
from supervisor.diagnosis.rules.rule import Rule

_INSTALL = Advice(
    "The Python of the script lacks train-supervisor: install it there, or leave the import out,"
    " which nothing needs. PyPI's package `supervisor` is another program.",
    "python -m pip install train-supervisor",
)

OWN_PACKAGE: tuple[Rule, ...] = (
    wrong(
        ("no module named 'supervisor", "from 'supervisor"),
        r"^(?:ModuleNotFoundError: No module named 'supervisor(?:\.(?:worker|torch)\b[\w.]{0,60})?'"
        r"|ImportError: cannot import name '(?:worker|torch)' from 'supervisor')",
        "ModuleNotFoundError: No module named 'supervisor'",
        _INSTALL,
        source="python/cpython, Lib/importlib/_bootstrap.py",
    ),
)
