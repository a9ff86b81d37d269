"""What healthy ranks and the launcher print once another rank is gone; no line is a cause."""

import random
from collections.abc import Callable

SITE = "/opt/envs/train/lib/python3.11/site-packages"
WORLD = 16


def watchdogs(choice: random.Random) -> str:
    """Three peers of another node: each dies by its watchdog, or of a connection that was cut."""
    peers = choice.sample(range(8, WORLD), 3)
    ways: list[Callable[[random.Random, int], str]] = [_timed_out, _cut_off, _lost_the_store]
    chosen = [_timed_out, *choice.choices(ways, weights=(4, 1, 1), k=2)]
    return "".join(way(choice, peer) for way, peer in zip(chosen, peers, strict=True))


def _glog(choice: random.Random, level: str = "E") -> str:
    minute, second, fraction = choice.randint(31, 58), choice.randint(10, 59), choice.random()
    return f"{level}402 05:{minute}:{second}.{int(fraction * 1e9):09d}"


def _timed_out(choice: random.Random, rank: int) -> str:
    work, elements = choice.randint(2000, 90000), choice.choice((1048576, 58720256, 103809024))
    kind = choice.choice(("ALLREDUCE", "_ALLGATHER_BASE", "BROADCAST"))
    timeout = (
        f"[Rank {rank}] Watchdog caught collective operation timeout: WorkNCCL(SeqNum={work},"
        f" OpType={kind}, NumelIn={elements}, NumelOut={elements}, Timeout(ms)=600000) ran for"
        f" {600000 + choice.randint(2, 90)} milliseconds before timing out."
    )
    cpp = "ProcessGroupNCCL.cpp"
    said = (
        f"{cpp}:629] {timeout}",
        f"{cpp}:2168] [PG ID 1 PG GUID 1 Rank {rank}]  failure detected by watchdog at work"
        f" sequence id: {work} PG status: last enqueued work: {work + 6}, last"
        f" completed work: {work - 1}",
        f"{cpp}:681] [Rank {rank}] Some NCCL operations have failed or timed out. Due to the"
        " asynchronous nature of CUDA kernels, subsequent GPU operations might run on"
        " corrupted/incomplete data.",
        f"{cpp}:695] [Rank {rank}] To avoid data inconsistency, we are taking the entire process"
        " down.",
        f"{cpp}:1895] [PG ID 1 PG GUID 1 Rank {rank}] Process group watchdog thread terminated with"
        f" exception: {timeout}",
    )
    lines = [f"[rank{rank}]:[{_glog(choice)} {words}" for words in said]
    lines.append(
        "Exception raised from checkTimeout at /pytorch/torch/csrc/distributed/c10d/"
        f"{cpp}:632 (most recent call first):"
    )
    return "\n".join(lines) + "\n"


def _cut_off(choice: random.Random, rank: int) -> str:
    port = choice.randint(32768, 60999)
    lines = (
        "Traceback (most recent call last):",
        '  File "/data/jobs/7/train.py", line 211, in <module>',
        "    main()",
        f'  File "{SITE}/torch/distributed/distributed_c10d.py", line 2810, in all_reduce',
        "    work = group.allreduce([tensor], opts)",
        "torch.distributed.DistBackendError: NCCL error in: /pytorch/torch/csrc/distributed/c10d/"
        "ProcessGroupNCCL.cpp:3356, remote process exited or there was a network error, NCCL"
        " version 2.26.2",
        "ncclRemoteError: A call failed possibly due to a network error or a remote process exiting"
        " prematurely.",
        "Last error:",
        f"socketProgress: Connection closed by remote peer node-b04<{port}>",
    )
    return "".join(f"[rank{rank}]: {line}\n" for line in lines)


def _lost_the_store(choice: random.Random, rank: int) -> str:
    return (
        f"[rank{rank}]:[{_glog(choice, 'W')} TCPStore.cpp:125] [c10d] recvValue failed on"
        " SocketImpl(fd=88, addr=[node-b05]:51904, remote=[node-b04]:29500): failed to recv, got 0"
        " bytes\n"
        f"[rank{rank}]:[{_glog(choice, 'W')} ProcessGroupNCCL.cpp:1659] [PG ID 0 PG GUID"
        f' 0(default_pg) Rank {rank}] Failed to check the "should dump" flag on TCPStore, (maybe'
        " TCPStore server has shut down too early), with error: failed to recv, got 0 bytes\n"
    )


def launcher_words(choice: random.Random, log: str) -> str:
    """The end of torchrun; nothing where the log has it already. Its table names a peer."""
    if "failed (exitcode" in log:
        return ""
    agent, first = choice.randint(4000, 90000), choice.randint(100000, 400000)
    local = choice.randint(0, 7)
    elastic = "torch/distributed/elastic/multiprocessing/api.py"
    lines = [
        f"W0402 05:59:{n + 1:02d}.118000 {agent} {elastic}:900] Sending process {first + n} closing"
        " signal SIGTERM"
        for n in range(8)
        if n != local
    ]
    python = "/opt/envs/train/bin"
    when = "2025-04-02_05:59:03"
    lines += [
        f"E0402 05:59:11.402000 {agent} {elastic}:874] failed (exitcode: -6) local_rank: {local}"
        f" (pid: {first + local}) of binary: {python}/python",
        "Traceback (most recent call last):",
        f'  File "{python}/torchrun", line 8, in <module>',
        "    sys.exit(main())",
        f'  File "{SITE}/torch/distributed/elastic/multiprocessing/errors/__init__.py", line 355,'
        " in wrapper",
        "    return f(*args, **kwargs)",
        f'  File "{SITE}/torch/distributed/run.py", line 892, in main',
        "    run(args)",
        f'  File "{SITE}/torch/distributed/launcher/api.py", line 270, in launch_agent',
        "    raise ChildFailedError(",
        "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: ",
        "=" * 60,
        "train.py FAILED",
        "-" * 60,
        "Failures:",
        *_table_row(1, when, 8 + (local + 1) % 8, (local + 1) % 8, first + (local + 1) % 8),
        "-" * 60,
        "Root Cause (first observed failure):",
        *_table_row(0, when, 8 + local, local, first + local),
        "=" * 60,
    ]
    return "\n".join(lines) + "\n"


def _table_row(n: int, when: str, rank: int, local: int, pid: int) -> list[str]:
    return [
        f"[{n}]:",
        f"  time      : {when}",
        "  host      : node-b05",
        f"  rank      : {rank} (local_rank: {local})",
        f"  exitcode  : -6 (pid: {pid})",
        "  error_file: <N/A>",
        f"  traceback : Signal 6 (SIGABRT) received by PID {pid}",
    ]
