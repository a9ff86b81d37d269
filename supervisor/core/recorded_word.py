"""The base of the words of a run, which are read from records of any version."""

from enum import StrEnum


class RecordedWord(StrEnum):
    """A word that is read from records. A word that another version wrote is kept unchanged."""

    @classmethod
    def _missing_(cls, value: object) -> "RecordedWord":
        word = str.__new__(cls, value)
        word._name_ = word._value_ = str(word)
        return word
