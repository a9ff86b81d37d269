"""The daemon's imports spare it what libraries import for other users."""

import subprocess
import sys
from pathlib import Path

import supervisor

SPARED = """
import sys
from supervisor.daemon.light_imports import light_imports
with light_imports():
    import supervisor.daemon.main
heavy = ("asyncio", "ssl", "rich", "_hashlib", "importlib.metadata")
print([name for name in heavy if name in sys.modules])
import hashlib, hmac, secrets
print(hashlib.sha256(b"a").hexdigest()[:12], hmac.new(b"k", b"a", "sha256").hexdigest()[:12])
print("libcrypto" in open("/proc/self/maps").read())
import structlog.stdlib
print(structlog.stdlib.asyncio.get_running_loop is __import__("asyncio").get_running_loop)
import rich, _hashlib
"""
PLUGIN = """
from supervisor.daemon.light_imports import light_imports
with light_imports():
    import supervisor.daemon.main
"""


def run(code: str, *places: Path) -> str:
    """What a fresh interpreter prints."""
    root = Path(supervisor.__file__).parents[1]
    path = "".join(f"sys.path.insert(0, {str(place)!r}); " for place in (root, *places))
    return subprocess.run(
        [sys.executable, "-c", f"import sys; {path}\n{code}"],
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout  # fmt: skip


def test_a_daemon_is_spared_what_it_never_uses() -> None:
    """Modules of other users are not loaded; code that uses one gets the real module."""
    assert run(SPARED).splitlines() == ["[]", "ca978112ca1b 78da91511e67", "False", "True"]


def test_a_plugin_of_pydantic_is_not_imported(tmp_path: Path) -> None:
    """Packages that follow pydantic in a training (logfire) are nothing for the daemon."""
    (tmp_path / "zz_plugin.py").write_text(
        "print('imported', flush=True)\nclass P: pass\np = P()\n"
    )
    facts = tmp_path / "zz_plugin-1.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: zz-plugin\nVersion: 1\n")
    (facts / "entry_points.txt").write_text("[pydantic]\nzz = zz_plugin:p\n")
    unspared = "import pydantic\ntry:\n class A(pydantic.BaseModel): x: int\nexcept Exception: pass"
    assert run(unspared, tmp_path) == "imported\n"
    assert run(PLUGIN, tmp_path) == ""
