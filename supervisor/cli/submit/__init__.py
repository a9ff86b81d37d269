"""Texts for systemd and SLURM: a unit, and a batch script.

`commands/systemd.py` fills a `Unit` and calls `unit_text`; `commands/sbatch.py` fills a
`BatchScript` and calls `script_text`. Both get the text as a string. The commands write it, submit
it or print it.

Each line of a text carries its reason as a comment, since an administrator reads the file later
without this package. The folders `systemd/` and `slurm/` of the repository hold the same texts with
placeholders (`template_text`), and a test compares them.

`single_line.py` refuses a name that would become several lines of such a file: a path with a line
break could add directives. `slurm_options.py` reads the user's options for sbatch only as far as a
warning or a log's name needs them.

What always holds: nothing here writes a file or starts a process. A name that cannot stand in a
file raises SupervisorError, so no text is made with it.
"""
