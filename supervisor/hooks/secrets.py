"""Takes secrets out of what a hook printed, before it is recorded or shown to anyone."""

import re
from collections.abc import Collection, Mapping

_NAME = re.compile(
    r"KEY|TOKEN|SECRET|PASS|CREDENTIAL|AUTH|COOKIE|WEBHOOK|DSN|SIGNATURE", re.IGNORECASE
)
# Shorter values are flags and numbers. To blot these out would make the text unreadable.
_LEAST_CHARACTERS = 6
# The lines of a value, for instance of a key in PEM, may be printed one by one.
_LEAST_LINE_CHARACTERS = 8
_USER_INFO = re.compile(r"(?<=://)[^/\s@]+(?=@)")
_HEADER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}")


def without_secrets(text: str, environ: Mapping[str, str], also: Collection[str] = ()) -> str:
    """The text without the values of variables whose names speak of secrets; `also`: further ones.

    User and password of an address, and what follows `Bearer` and `Basic`, are taken out as well.
    The text must not begin within a secret.
    """
    named = {value: name for name, value in environ.items() if _NAME.search(name)}
    known = {**dict.fromkeys(also, "secret"), **named}
    for value, name in list(known.items()):
        for line in map(str.strip, value.splitlines()):
            if len(line) >= _LEAST_LINE_CHARACTERS:
                known.setdefault(line, name)
    for value in sorted(known, key=len, reverse=True):
        if len(value) >= _LEAST_CHARACTERS:
            text = text.replace(value, f"[{known[value]}]")
    return _HEADER.sub(r"\1 [secret]", _USER_INFO.sub("[secret]", text))
