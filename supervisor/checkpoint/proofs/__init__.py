"""What the bytes of one kind of file prove by themselves; nothing is unpickled.

A tool's own records may give the check of a file (`prove_files` in `formats/`). Otherwise
`structure.py` picks one by the file's name and its first bytes. Several checks first read what they
need: a header, an archive's directory, a pickle. Then `foreign.py` reads the file once, in order,
to hash it, and hands each chunk to the check's `feed`. At the end it calls `finish`.
`file_check.py` defines that interface.

Damage raises DamagedError, whose text completes the sentence "<file> …". If a check finds no
damage, its `is_proof` says whether damage to the file's structure would have shown.

Zip archives, safetensors files, pickles and other containers have a module each. A file that is
too large to check in bounded memory and time stays unproven.
"""
