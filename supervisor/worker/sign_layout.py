"""The layout of a sign of life: what a training loop without an adapter says of itself.

Numbers and names alone: it imports nothing but `struct`. The start-up hook in the user's own Python
(3.9 and newer) writes these files, one a process; the daemon reads them. Each store is one aligned
word, and the time is stored after the count.
"""

import struct

SIGN_PREFIX = "sign-"
"""In the heartbeat directory: `sign-<pid>`."""
NEXT_SAVE = "next-save.json"
"""In the heartbeat directory: when the daemon expects the next save; it is read at SIGTERM."""

SIGN_BYTES = 4096
SIGN_MAGIC = b"TSSG"
SIGN_VERSION = 1
SIGN = struct.Struct("<4sIIIQQQQQQQQ")
"""Magic 0, version 4, pid 8, local rank 12, start ticks 16, attempt 24, and the words below."""
# The same words as indices of the page seen as words of eight bytes.
COUNT, LAST_NS, LONGEST_GAP_NS, PHASE, PHASE_SINCE_NS, STOP = 4, 5, 6, 7, 8, 9
# The phases. The longest gap leaves out time inside a phase, and time before the first sign.
NO_PHASE, SAVING, LOADING = 0, 1, 2
# The stop: none; a handler of the hook has SIGTERM; it came and the process waits for its next
# save; it came and the process ends at once.
NO_STOP, STOP_HANDLED, STOP_WAITS, STOP_ENDS = 0, 1, 2, 3
