"""The configuration of a run: its keys, the reading of the file, and what is wrong with it.

The keys and what they mean stand in `model.py` and `sections.py`. The JSON Schema (`schema.py`),
the file that `init` writes (`template.py`) and docs/configuration.md are all made from there.

`load.py` reads a file for `run`, `check`, `systemd` and `sbatch`. `source.py` reads the text,
`document.py` parses the YAML and keeps the line of each key, and `RunConfig` checks the values.
`explain.py` puts pydantic's errors into words. The caller gets a `RunConfig` or one `ConfigError`
with every problem in it.

Two other ways lead in. `run_directory.py` finds only the run directory, for commands that need no
more of the file. `kept.py` reads the copy that `run` writes into the run directory for the daemon.

What always holds: a `RunConfig` is frozen and valid. Its paths may be relative until `resolved`.
This file imports nothing, and neither `run_directory.py` nor `template.py` imports pydantic: it is
slow to load, and `status` and `init` need none. So import the parts by name.
"""
