"""How counts are said."""


def counted(number: int, noun: str) -> str:
    """`1 failure`, `2 failures`."""
    return f"{number} {noun}" + ("" if number == 1 else "s")
