"""The daemon is tested in whole runs: the supervised run of tests/e2e."""

from tests.e2e.conftest import run

__all__ = ["run"]
