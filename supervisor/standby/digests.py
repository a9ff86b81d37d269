"""What stands for a variable's value where the value itself is nobody's business. Imports late.

The observer of a trainer's imports uses it: nothing may be in sys.modules before its time.
"""

import os


def digest(value: str) -> str:
    """Return what stands for this value: equal for equal ones, and short."""
    import zlib

    data = os.fsencode(value)
    return f"{len(data):x}.{zlib.crc32(data):x}"
