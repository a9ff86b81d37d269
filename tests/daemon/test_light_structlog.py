"""The daemon imports structlog without the modules that structlog imports for other users."""

import subprocess
import sys

IMPORTS = """
import sys
import supervisor.daemon.main
print([name for name in ("asyncio", "ssl", "rich") if name in sys.modules])
import structlog.stdlib
print(structlog.stdlib.asyncio.get_running_loop is __import__("asyncio").get_running_loop)
import rich
"""


def test_a_daemon_is_spared_what_it_never_uses() -> None:
    """structlog's unused modules are not loaded; code that uses one gets the real module."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines() == ["[]", "True"]
