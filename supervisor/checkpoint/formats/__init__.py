"""What is known of each tool's checkpoints: a module for each tool, and a row in `table.py`.

Each tool's module makes one `ToolFormat` (`tool_format.py`): how the tool names its checkpoints,
which files it writes into them, and functions that read its own records. The module sets only the
fields that differ from the default.

The modules of `supervisor/checkpoint/` walk the table. `names.py` reads a name by the first rule
that matches it. The rules that accept the word `best` come first, those with `is_free` last, and
the order of the table counts among equals. `foreign.py` asks each row for `prove_files`.

A tool's module sees one checkpoint's listing; `find_mixed` also sees the listings of its
neighbours. It imports no module that walks the table.
"""
