"""What is known of one tool's checkpoints: a file each, and a row each in `table.py`.

Each tool's file gives one `ToolFormat` (`tool_format.py`): how the tool names its checkpoints,
which files it writes into them, and functions that read its own records. A tool writes only the
fields that differ from the default.

The modules of `supervisor/checkpoint/` walk the table. `names.py` tries a name against the rows in
their order, and the first that matches counts. `foreign.py` asks each row for `prove_files`.

A tool's module sees one checkpoint's listing; `find_mixed` also sees the listings of its
neighbours. It imports no module that walks the table.
"""
