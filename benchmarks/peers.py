"""The supervisors that ours is compared with, and how each is set up outside `.venv`."""

import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PEERS_VENV = ROOT / "build" / "peers"
FT_LAUNCHER_VERSION = "0.7.0"
# The wheel is for Python 3.12 and a newer glibc. The launcher is plain Python, and also runs on
# 3.11. Without dependencies, which would bring another torch.
FT_LAUNCHER_WHEEL = (
    "--no-deps", "--only-binary=:all:", "--python-version=3.12",
    "--platform=manylinux_2_39_x86_64", f"nvidia-resiliency-ext=={FT_LAUNCHER_VERSION}",
)  # fmt: skip
# What the launcher imports beyond the project's packages.
FT_LAUNCHER_NEEDS = (
    "defusedxml==0.7.1", "httpx==0.28.1", "grpcio==1.85.3", "protobuf==7.36.2",
)  # fmt: skip
INSTALL_TIMEOUT_S = 600.0
# Port 0 picks a free port each time, so that runs do not collide.
RENDEZVOUS = ("--nproc-per-node=1", "--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0")


@dataclass(frozen=True, slots=True)
class Peer:
    """How a peer starts a script, how it beats, and the line by which it reports a death."""

    name: str
    version: str
    command: tuple[str, ...]
    beat: str
    death_line: str

    def argv(self, script: Sequence[str], *, restarts: int = 0) -> list[str]:
        """The command line for a script with its arguments."""
        return [*self.command, f"--max-restarts={restarts}", *script]


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A peer that cannot run here, and why."""

    name: str
    reason: str


def torchrun() -> Peer | Unavailable:
    """The torchrun of the project's own torch."""
    try:
        installed = version("torch")
    except ModuleNotFoundError:
        return Unavailable("torchrun", "torch is not installed")
    command = (sys.executable, "-m", "torch.distributed.run", *RENDEZVOUS)
    return Peer("torchrun", installed, command, "none", r"failed \(exitcode")


def ft_launcher() -> Peer | Unavailable:
    """NVIDIA's ft_launcher, in a virtual environment that sees the project's torch."""
    python = PEERS_VENV / "bin" / "python"
    try:
        if not python.exists() or _output([str(python), "-c", _FT_VERSION]) != FT_LAUNCHER_VERSION:
            _install_ft_launcher(python)
        shown = _output([str(python), "-c", _FT_WORKS])
    except (OSError, subprocess.SubprocessError) as error:
        return Unavailable("ft_launcher", _reason(error))
    command = (
        str(python), "-m", "nvidia_resiliency_ext.fault_tolerance.launcher", *RENDEZVOUS,
        "--ft-initial-rank-heartbeat-timeout=600", "--ft-rank-heartbeat-timeout=600",
    )  # fmt: skip
    return Peer("ft_launcher", shown.strip(), command, "ft_launcher", r"failed \(exitcode")


_FT_VERSION = (
    "from importlib.metadata import distributions as all; print(''.join({d.version for d in all()"
    " if d.metadata['Name'] == 'nvidia-resiliency-ext'}), end='')"
)
_FT_WORKS = f"import nvidia_resiliency_ext.fault_tolerance.launcher; {_FT_VERSION}"


def _install_ft_launcher(python: Path) -> None:
    shutil.rmtree(PEERS_VENV, ignore_errors=True)
    site = make_environment(PEERS_VENV)
    install = [str(python), "-m", "pip", "install", "--quiet"]
    _output([*install, "--target", str(site), *FT_LAUNCHER_WHEEL])
    _output([*install, *FT_LAUNCHER_NEEDS])


def make_environment(folder: Path) -> Path:
    """Make a virtual environment that sees the project's packages; returns its own site-packages.

    Raises OSError, subprocess.SubprocessError.
    """
    _output([sys.executable, "-m", "venv", str(folder)])
    python = str(folder / "bin" / "python")
    site = _output([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"])
    ours = sysconfig.get_path("purelib")
    Path(site.strip(), "project.pth").write_text(f"{ours}\n{ROOT}\n")
    return Path(site.strip())


def _output(argv: list[str]) -> str:
    return subprocess.run(
        argv, capture_output=True, text=True, check=True, timeout=INSTALL_TIMEOUT_S
    ).stdout


def _reason(error: OSError | subprocess.SubprocessError) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        lines = str(error.stderr).strip().splitlines()
        return lines[-1] if lines else f"exit code {error.returncode}"
    return str(error)
