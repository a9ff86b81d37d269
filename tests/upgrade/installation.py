"""A separate installation, with the previous version of `supervisor` or with this one.

`supervisor-before.tar.xz` is the package of a commit, which the archive names. Renew it with each
release, and after each new number in `PROTOCOL`: `make before REV=v1.2.3`.
"""

import lzma
import shutil
import sys
import sysconfig
import tarfile
import venv
from pathlib import Path

import supervisor

ARCHIVE = Path(__file__).with_name("supervisor-before.tar.xz")
THIS = Path(supervisor.__file__).parent


def unpack_before(folder: Path) -> Path:
    """Unpack the package of the previous version; its path."""
    with lzma.open(ARCHIVE) as file, tarfile.open(fileobj=file) as archive:
        archive.extractall(folder, filter="data")
    return folder / "supervisor"


class Installation:
    """A virtual environment that borrows the package's dependencies from the present one."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, symlinks=True)
        self.python = str(folder / "bin" / "python")
        places = sysconfig.get_paths("venv", {"base": str(folder), "platbase": str(folder)})
        site = Path(places["purelib"])
        borrowed = [entry for entry in sys.path if entry.endswith("-packages")]
        (site / "borrowed.pth").write_text("".join(f"{entry}\n" for entry in borrowed))
        self.package = site / "supervisor"

    def remove(self) -> None:
        """Uninstall, as the first half of `pip install --upgrade` does.

        It retries, because a process that imports meanwhile writes bytecode into the folder.
        """
        while self.package.exists():
            shutil.rmtree(self.package, ignore_errors=True)

    def install(self, package: Path) -> None:
        """Install this package, when none is installed."""
        shutil.copytree(package, self.package, ignore=shutil.ignore_patterns("__pycache__"))
