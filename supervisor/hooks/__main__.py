"""The child process that runs one hook: it keeps the output, and ends all that the hook leaves.

The order comes as JSON on the standard input (`hook_child.HookOrder`), and one line of JSON says
what came of it. SIGTERM, or the death of the daemon, ends the hook at once. This process is a
subreaper, so what the hook starts stays below it, in whatever session.
"""

import json
import os
import selectors
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO

from supervisor.hooks.hook_child import HookOrder
from supervisor.hooks.kept_output import KeptOutput, last_lines
from supervisor.hooks.secrets import without_secrets
from supervisor.system.anonymous_file import anonymous_file
from supervisor.system.clock import monotonic_s, rfc3339, wall_s
from supervisor.system.descendants import end_descendants
from supervisor.system.oom_score import share_the_oom_killer
from supervisor.system.prctl import become_subreaper, die_with_parent
from supervisor.system.self_pipe import SelfPipe

_PATIENCE_S = 5.0
_READ_BYTES = 1 << 16
_OWN_PID = os.getpid()


def main() -> None:
    """Run one hook, and say what came of it."""
    order = HookOrder.from_json(json.loads(sys.stdin.buffer.read()))
    signals = SelfPipe()
    signals.catch((signal.SIGTERM, signal.SIGCHLD))
    become_subreaper()
    die_with_parent(signal.SIGTERM, order.daemon_pid)
    if order.umask is not None:
        os.umask(order.umask)  # the daemon's own keeps others out, and the hook writes for users
    heading = f"{rfc3339(wall_s())} {order.heading}"
    output = KeptOutput(Path(order.log), heading)
    said = _run(order, output, signals)
    ending = str(said["refused"] or "exit code 0")
    printed = without_secrets(output.finish(ending), os.environ, order.secrets)
    said["lines"] = last_lines(printed)
    said["log_error"] = output.error
    print(json.dumps(said), flush=True)


def _run(order: HookOrder, output: KeptOutput, signals: SelfPipe) -> dict[str, object]:
    began, until = monotonic_s(), monotonic_s() + order.timeout_s
    try:
        with anonymous_file(order.facts.encode()) as facts:
            hook = subprocess.Popen(
                order.command, stdin=facts, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                bufsize=0, env={**os.environ, **order.variables}, process_group=0,
                preexec_fn=_before_the_exec,
            )  # fmt: skip
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        return {"code": None, "refused": f"cannot be started: {why}"}
    assert hook.stdout is not None
    os.set_blocking(hook.stdout.fileno(), False)
    refused = _watch(hook, hook.stdout, output, signals, until)
    if refused is None and hook.returncode:
        refused = _ending(hook.returncode)
    elif refused == "":
        refused = f"did not end within {order.timeout_s:g} s"
    left = end_descendants(_PATIENCE_S)
    with suppress(OSError):
        _read(hook.stdout, output)
    hook.stdout.close()
    return {
        "code": hook.returncode,
        "refused": refused,
        "seconds": round(monotonic_s() - began, 3),
        "left": left,
    }


def _before_the_exec() -> None:
    share_the_oom_killer()
    die_with_parent(signal.SIGKILL, _OWN_PID)


def _watch(
    hook: "subprocess.Popen[bytes]",
    pipe: IO[bytes],
    output: KeptOutput,
    signals: SelfPipe,
    until: float,
) -> str | None:
    """Wait for the hook's end. Returns None then, "" past the deadline, else why it is ended."""
    with selectors.DefaultSelector() as selector:
        selector.register(signals, selectors.EVENT_READ)
        selector.register(pipe, selectors.EVENT_READ, pipe)
        while hook.poll() is None:
            left_s = until - monotonic_s()
            if left_s <= 0:
                return ""
            for key, _ in selector.select(left_s):
                if key.data is None and signal.SIGTERM in signals.drain():
                    return "ended by the supervisor"
                if key.data is not None and not _read(pipe, output):
                    selector.unregister(pipe)
    return None


def _read(pipe: IO[bytes], output: KeptOutput) -> bool:
    """Take in what was printed, up to a pipe's size; False at the end of the output."""
    for _ in range(16):
        try:
            part = os.read(pipe.fileno(), _READ_BYTES)
        except BlockingIOError:
            return True
        if not part:
            return False
        output.take(part)
    return True


def _ending(code: int) -> str:
    if code > 0:
        return f"exit code {code}"
    try:
        return f"ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"ended by signal {-code}"


if __name__ == "__main__":
    main()
