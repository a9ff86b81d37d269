"""The operating system, each part of it once: clocks, files, processes, sockets. Stdlib only."""
