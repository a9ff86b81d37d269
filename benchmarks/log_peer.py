"""The peer of the diagnosis: the rules of NVIDIA Resiliency Extension's restart agent.

Its own name for these rules is L0; the layer that asks a language model (L1) is left out.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.labelled_logs import GOING_ON, STOPPING, LabelledLog
from benchmarks.peers import INSTALL_TIMEOUT_S, ROOT, Unavailable
from benchmarks.scoring import Verdict
from supervisor.diagnosis.log_file import diagnose_file

NAME = "nvrx"
VERSION = "0.7.0"
FOLDER = ROOT / "build" / "log-peer"
# The wheel is for Python 3.12 and a newer glibc. The restart agent is plain Python, and also runs
# on 3.11; torch and the other dependencies are for parts that are not used here.
_WHEEL = (
    "--no-deps", "--only-binary=:all:", "--python-version=3.12",
    "--platform=manylinux_2_39_x86_64", f"nvidia-resiliency-ext=={VERSION}",
)  # fmt: skip
_BESIDE = ("httpx==0.28.1",)

# Its class of failure in our names. `observed_exception` and `observed_failure` say that there is
# a traceback or an error, and not which.
CLASSES: Mapping[str, frozenset[str]] = {
    "gpu_hardware_fault": frozenset({"gpu_ecc", "gpu_lost", "gpu_needs_reset", "nvlink"}),
    "peer_gpu_memory_access_failure": frozenset({"nvlink", "cuda_fault"}),
    "infra_policy_event": frozenset({"preempted", "killed"}),
    "time_limit": frozenset({"time_limit"}),
    "user_cancelled": frozenset({"cancelled", "stopped_by_user"}),
    "observed_exception": frozenset({"exception"}),
    "observed_failure": frozenset({"exception"}),
    "configuration_validation_failure": frozenset({"configuration"}),
    "argument_validation_failure": frozenset({"configuration"}),
    "artifact_or_path_not_found": frozenset({"configuration", "filesystem"}),
    "checkpoint_compatibility_mismatch": frozenset({"checkpoint_mismatch", "configuration"}),
    "shape_mismatch": frozenset({"checkpoint_mismatch", "configuration", "exception"}),
    "filesystem_permission_denied": frozenset({"configuration", "access_denied", "filesystem"}),
    "cuda_oom": frozenset({"cuda_out_of_memory"}),
    "nan_or_inf": frozenset({"non_finite_loss"}),
    "bad_token_or_window": frozenset({"data_corrupt", "exception"}),
    "framework_crash": frozenset({"segfault", "aborted"}),
    "linux_oom_kill_confirmation": frozenset({"host_out_of_memory"}),
    "observed_distributed_operation_timeout": frozenset({"nccl_timeout"}),
    "nccl_rdma_port_error_event": frozenset({"nccl_network"}),
    "nccl_cascade": frozenset({"nccl_timeout", "nccl_network"}),
    "cuda_previous_error_cascade": frozenset({"cuda_fault"}),
    "terminal_transport_failure_surface": frozenset({"nccl_network", "rendezvous"}),
}


@dataclass(frozen=True, slots=True)
class PeerVerdict:
    """Its word on one log, the line that it chose, and how long it took inside its process."""

    verdict: Verdict
    line: str | None
    seconds: float

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> "PeerVerdict":
        """From what its program prints. STOP and RESTART stand for all our actions of that kind."""
        known = frozenset({"unknown"}) if said["class"] is None else CLASSES.get(said["class"])
        actions = STOPPING | {"none"} if said["decision"] == "STOP" else GOING_ON
        return cls(
            Verdict(known or frozenset({said["class"]}), actions), said["line"], said["seconds"]
        )


class LogPeer:
    """Its process, which reads one log after the other. `close` ends it."""

    version = f"nvidia-resiliency-ext {VERSION}, restart agent, L0 (rules, no model)"

    def __init__(self) -> None:
        program = Path(__file__).with_name("log_peer_program.py")
        self._process = subprocess.Popen(
            [sys.executable, str(program)],
            env={**os.environ, "PYTHONPATH": str(FOLDER)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, log: Path) -> PeerVerdict:
        """Its word on a file. Raises OSError where its process has died."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # then there is no answer either
            self._process.stdin.write(f"{log.absolute()}\n")
            self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise OSError(f"{NAME} ended with {self._process.wait()} on {log}")
        return PeerVerdict.read(json.loads(answer))

    def judge(self, log: LabelledLog, path: Path) -> Verdict:
        """Its verdict on a file. It has no way to be told the exit code or the signal.

        Where the training failed, what our rows say of the line that it chose counts as said too.
        """
        said = self.ask(path)
        if said.line is None or log.is_healthy:
            return said.verdict
        path.write_text(said.line)
        ours = str(diagnose_file(path, code=1).failure)
        return Verdict(said.verdict.failures | {ours}, said.verdict.actions)

    def close(self) -> None:
        """End its process."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        self._process.wait()


def find() -> LogPeer | Unavailable:
    """The peer, installed where it was not; or why it cannot be had here."""
    try:
        if not (FOLDER / "httpx").is_dir():
            for words in (_WHEEL, _BESIDE):
                _install(*words)
        return _proven()
    except (OSError, subprocess.SubprocessError) as error:
        said = str(getattr(error, "stderr", "") or error).strip().splitlines()
        tried = f"pip install nvidia-resiliency-ext=={VERSION} (the wheel for Python 3.12)"
        return Unavailable(NAME, f"{tried}: {said[-1]}")


def _proven() -> LogPeer:
    """The peer once it has read a log. Raises OSError where it does not."""
    peer = LogPeer()
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            log = Path(folder, "train.log")
            log.write_text("step 1 loss 2.0\n")
            peer.ask(log)
    except OSError:
        peer.close()
        raise
    return peer


def _install(*words: str) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(FOLDER), *words]
    subprocess.run(command, capture_output=True, text=True, check=True, timeout=INSTALL_TIMEOUT_S)
