"""What disks and file systems print when they fail, or are full."""

from supervisor.core.ending import Advice
from supervisor.core.vocabulary import Action, Failure
from supervisor.diagnosis.rules.rule import Rule, Weight

_ROOM = Advice("Make room, or raise the quota: the run goes on by itself.", "df -h . ; quota -s")

STORAGE: tuple[Rule, ...] = (
    Rule(
        (
            "no space left",
            "quota exceeded",
            "errno 28]",
            "errno 122]",
            "code: 28,",
            "not enough space",
            "not enough disk space",
            "not enough free disk space",
            "os error 28",
            "os error 122",
            "disk is full",
            "no usable temporary",
            "errno = 28",
            "errno = 122",
        ),
        r"no space left on device|\bdisk is full\b|disk quota exceeded|\[errno (?:28|122)\]"
        r"|\berrno = (?:28|122)\b|\bNo usable temporary directory found"
        r"|\bcode: (?:28|122),"
        r"|\(os error (?:28|122)\)"
        r"|\bnot enough space on (?:the )?(?:disk|device)|\bnot enough (?:free )?disk space",
        Failure.DISK_FULL,
        Action.HOLD,
        example="OSError: [Errno 28] No space left on device: '/ckpt/checkpoint-900/optimizer.pt'",
        source="databrickslabs/dolly#139",
        advice=_ROOM,
    ),
    Rule(
        ("input/output error", "errno 5]", "code: 5,", "i/o error"),
        r"\binput/output error\b|\bdisk I/O error\b|\[errno 5\]|\bcode: 5, kind"
        r"|\bblk_update_request: i/o error"
        r"|buffer i/o error on dev",
        Failure.FILESYSTEM,
        Action.BACKOFF,
        example="RuntimeError: write(): fd 41 failed with Input/output error",
        source="pytorch/pytorch#10577",
        full_disk_decides=True,
    ),
    Rule(
        ("pytorchstreamwriter failed", "file write failed", "unexpected pos "),
        r"pytorchstreamwriter failed|\bfile write failed\b|\bunexpected pos \d{1,20} vs \d",
        Failure.DISK_FULL,
        Action.HOLD,
        example="RuntimeError: [enforce fail at inline_container.cc:471] ."
        " PytorchStreamWriter failed writing file data/58: file write failed",
        source="hiyouga/LLaMA-Factory#1223",
        advice=_ROOM,
    ),
    Rule(
        (
            "file handle",
            "errno 116]",
            "transport endpoint",
            "remote i/o error",
            "read-only file system",
            "structure needs cleaning",
            "errno 107]",
            "errno 121]",
            "errno 108]",
            "errno 70]",
            "errno 30]",
            "errno 112]",
            "errno 126]",
            "errno 127]",
            "errno 117]",
            "required key not available",
            "key has expired",
            "ext4-fs error",
            "errno 110]",
            "errno 37]",
            "errno 524]",
            "os error ",
            "unable to lock file",
            "errno = ",
        ),
        r"stale (?:nfs )?file handle|transport endpoint (?:is not connected|shutdown)"
        r"|remote i/o error|read-only file system|structure needs cleaning"
        r"|required key not available|key has expired"
        r"|\[errno (?:116|107|108|121|70|30|112|126|127|117|37|524)\]|ext4-fs error \("
        r"|\bunable to lock file, errno = \d|\berrno = (?:5|30|107|108|116|121)\b"
        r"|\[errno 110\] connection timed out: '/|\(os error (?:116|107|108|5|30)\)",
        Failure.FILESYSTEM,
        Action.BACKOFF,
        example="OSError: [Errno 116] Stale file handle: '/nfs/run/train.bin'",
        source="modelscope/ms-swift#6695",
    ),
    # The kernel's complaints about a file server. Clients reconnect, so these lines count less than
    # a cause.
    Rule(
        ("lustreerror", "not responding", "mount point", "ceph:"),
        r"\bLustreError: |\bnfs: server \S{1,200} not responding|\bceph: .{0,120}hung\b",
        Failure.FILESYSTEM,
        Action.BACKOFF,
        Weight.CONSEQUENCE,
        example="nfs: server filer2 not responding, still trying",
        source="torvalds/linux, net/sunrpc/clnt.c",
    ),
)
