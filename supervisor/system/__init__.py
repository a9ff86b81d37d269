"""The operating system, each part of it once: clocks, files, processes, sockets. Stdlib only.

All folders above import from here: the launcher, the daemon, the checkpoint library, the CLI. Each
module wraps one thing that the kernel, systemd or the standard library does, and decides nothing:

- Time: `clock`.
- Files: `durable` writes what must survive a crash, `small_file` reads what others may have put
  there. `mounts` knows file systems, `private_directory` keeps other users out.
- Processes: `identity` says which process is meant and signals only that, `procfs` reads /proc.
  `cgroup` holds an attempt's processes together, `prctl` ties them to the launcher, `oom_score`
  leaves them no protection from the OOM killer.
- Messages: `json_lines` between our processes, `self_pipe` from signals and threads to a loop,
  `sd_notify` and `journal_stream` to systemd, `line_writer` to people.
- Regular expressions of users: `bounded_pattern` and `pattern_shape`.

What always holds: a process is never signalled by a bare pid from a file. The modules that the
launcher imports are light: no `typing` and no `dataclasses`, of which each costs up to a megabyte.
What a trainer needs of all this lies in `supervisor/worker`, and is imported here from there.
"""
