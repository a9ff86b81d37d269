"""The layout of a heartbeat page and the names of its files: numbers and names alone.

It imports nothing but `struct`. The launcher, the daemon and the worker import it, the worker in
the user's own Python (3.9 and newer).
"""

import struct

RANK_PREFIX = "rank-"
# The file beside a page that an attached process keeps open.
OWNER_PREFIX = "owner-"

PAGE_BYTES = 4096
MAGIC = b"TSHB"
VERSION = 1
CHECKPOINT_BYTES_MAX = 1024

# Little-endian. What other programs read by offset: magic 0, version 4, pid 8, rank 12,
# world size 16, local rank 20, start ticks 24.
HEADER = struct.Struct("<4sIIIII Q QI")  # …, created (monotonic ns) 32, attempt 40
STOP_SEEN, STACKS_ARMED = 44, 45
# The launcher writes the first byte. The second says that this worker's should_stop reads it;
# workers of earlier versions never set that. Neither has raised VERSION: another version would hide
# every worker that is installed in users' environments.
STOP_ASKED, STOP_READ = 46, 47
IS_SECOND = 48
# How the process ended. The page says it because a shell in between hides an exit code. Workers of
# earlier versions leave it at 0. A worker that is killed, or ends by an exception, leaves it at
# END_IS_TOLD.
END = 49
END_IS_TOLD, ENDED_IN_ORDER = 1, 2
# Two seqlocks. The word written *last* stands *first*, because a reader copies upwards: a copy
# whose two words agree then holds one write. The beat is one cache line. Each of its stores is
# one aligned word: even a page whose writer was stopped midway has no half-written number.
BEAT = struct.Struct("<QqqqdQ")  # end 64, ns 72, step 80, epoch 88, loss 96, begin 104
BEAT_AT = 64
STATE = struct.Struct("<QqqqqqqqQ")  # end 128, phase, since, first step, 4 durations, begin 192
STATE_AT = 128
# The norm of the gradient, a number by itself: one aligned store. All its bits are 0 where none
# was given, by workers of earlier versions too. So a norm of 0 is written as -0.
GRAD_NORM = struct.Struct("<d")
GRAD_NORM_AT = 200
OUTCOME = struct.Struct("<IiqII")  # set 256, code, step, crc of code, step and path, length
OUTCOME_AT = 256
OUTCOME_SIGNED = struct.Struct("<iqI")
