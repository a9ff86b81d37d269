"""What may stand in `restart.exit_codes`; what a rule does is decided in `core/rules`."""

import signal
from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, ValidationInfo, WithJsonSchema

from supervisor.core.rules.exit_codes import SIGNAL_BASE

_AN_EXIT_CODE = "expected an exit code, a number from 1 to 255"
_ANOTHER = "have the command exit with another code"
_FIXED_CODES = {
    0: "0 always means that the command came to its end; `finish` can ask for more than that",
    75: f"75 always means that the trainer has saved, to be launched again; {_ANOTHER}",
    78: f"78 always means that the configuration is wrong, and holds the run; {_ANOTHER}",
}


def _exit_code(key: object, info: ValidationInfo) -> int:
    """A key of `restart.exit_codes`. Raises ValueError."""
    if info.mode == "json" and isinstance(key, str) and key.isdecimal():
        key = int(key)  # keys of JSON are always text
    if isinstance(key, str):
        raise ValueError(_not_a_number(key))
    if isinstance(key, bool) or not isinstance(key, int):
        raise ValueError(_AN_EXIT_CODE)
    if key in _FIXED_CODES:
        raise ValueError(_FIXED_CODES[key])
    if -key in set(signal.Signals):
        raise ValueError(f"death by signal {-key} is written {SIGNAL_BASE - key}")
    if not 1 <= key <= 255:
        raise ValueError(_AN_EXIT_CODE)
    return key


def _not_a_number(key: str) -> str:
    """What to write instead of a text as an exit code."""
    if key.isdecimal():
        return f"is text, and an exit code is a number: write {int(key)} without quotes"
    number = signal.Signals.__members__.get(f"SIG{key.upper().removeprefix('SIG')}")
    if number is not None:
        return f"is a signal's name: death by {number.name} is written {SIGNAL_BASE + number}"
    return _AN_EXIT_CODE


ExitRuleWord = Literal["restart", "backoff", "rollback", "hold", "free"]
ExitCodes = Annotated[
    dict[Annotated[int, BeforeValidator(_exit_code)], ExitRuleWord],
    WithJsonSchema(
        {
            "type": "object",
            "propertyNames": {
                "pattern": r"^([1-9]\d?|1\d\d|2[0-4]\d|25[0-5])$",
                "not": {"enum": [str(code) for code in _FIXED_CODES]},
            },
            "additionalProperties": {"enum": list(get_args(ExitRuleWord))},
        }
    ),
]
