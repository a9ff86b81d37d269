"""Stacks as text, made comparable: faulthandler's and py-spy's, thread by thread.

It reads text only. What differs between two looks at a process that stands still is left out.
"""

import re

_FAULTHANDLER_HEAD = re.compile(r"^(?:Current t|T)hread (0x[0-9a-f]+)")
_PY_SPY_HEAD = re.compile(r"^Thread (\d+|0x[0-9A-Fa-f]+) \(")
_FAULTHANDLER_FRAME = re.compile(r'^  File "(.*)", line (\d+) in (.*)$')
_PY_SPY_FRAME = re.compile(r"^    (.*) \((.*):(\d+)\)$")

# Frames in these files wait for other ranks, or for GPU work queued behind their collective.
_COLLECTIVES = ("distributed_c10d.py", "torch/nn/parallel/distributed.py", "deepspeed/comm/")
_GPU_WAITS = ("torch/cuda/__init__.py", "torch/cuda/streams.py")
# A wait has the collective's wrappers among so many innermost frames. Code that computes inside a
# wrapper (DDP's forward) has the wrapper further out.
_INNERMOST = 4
_CHILD_WAITS = ("/subprocess.py", "multiprocessing/popen_", "subprocess.py", "popen_fork.py")

StackFrame = tuple[str, str, int]
"""Function, file, line."""
Stacks = dict[str, tuple[StackFrame, ...]]
"""By thread, innermost frame first."""


def parse(text: str) -> Stacks:
    """The stacks of all threads; empty where the text has none."""
    found: dict[str, list[StackFrame]] = {}
    frames: list[StackFrame] = []
    for line in text.splitlines():
        head = _FAULTHANDLER_HEAD.match(line) or _PY_SPY_HEAD.match(line)
        if head is not None:
            frames = found.setdefault(head[1].lower(), [])
        elif (frame := _FAULTHANDLER_FRAME.match(line)) is not None:
            frames.append((frame[3], frame[1], int(frame[2])))
        elif (frame := _PY_SPY_FRAME.match(line)) is not None:
            frames.append((frame[1], frame[2], int(frame[3])))
    return {thread: tuple(frames) for thread, frames in found.items()}


def main_thread(stacks: Stacks) -> tuple[StackFrame, ...]:
    """The stack of the main thread: the one whose outermost frame is a module's own code."""
    programs = [frames for frames in stacks.values() if frames and frames[-1][0] == "<module>"]
    if programs:
        return programs[-1]
    # faulthandler goes from the youngest thread to the oldest, py-spy the other way round.
    return list(stacks.values())[-1] if stacks else ()


def collective(stacks: Stacks) -> str | None:
    """The collective that the main thread waits in, as far as its Python frames tell."""
    for function, file, _ in main_thread(stacks)[:_INNERMOST]:
        if any(part in file for part in _COLLECTIVES):
            return function
        if function == "synchronize" and any(file.endswith(part) for part in _GPU_WAITS):
            return "torch.cuda.synchronize"
    return None


def is_in_backward(stacks: Stacks) -> bool:
    """Whether it is in a backward pass, where DDP waits for other ranks without its own frame."""
    frames = main_thread(stacks)[:_INNERMOST]
    return any("autograd" in file and "backward" in function for function, file, _ in frames)


def waits_for_child(stacks: Stacks) -> bool:
    """Whether the main thread waits for the end, or the output, of a program that it started."""
    frames = main_thread(stacks)[:_INNERMOST]
    return any(part in file for _, file, _ in frames for part in _CHILD_WAITS)
