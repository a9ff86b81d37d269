"""A file without a name that holds bytes for a child process: no reader can block its writer."""

import os
import tempfile
from typing import IO

from supervisor.worker.system_call import memory_file


def anonymous_file(data: bytes) -> IO[bytes]:
    """A file with these bytes, to be read from the beginning. Raises OSError."""
    try:
        file: IO[bytes] = os.fdopen(memory_file("supervisor"), "w+b", buffering=0)
    except OSError:  # a sandbox refuses memfd_create(2)
        file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 -- the caller closes it
    view = memoryview(data)
    while view:
        view = view[file.write(view) or 0 :]
    file.seek(0)
    return file
