"""The daemon imports structlog, and not what structlog imports for others."""

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
    """Neither is loaded; whoever uses one of them has the real one."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines() == ["[]", "True"]
