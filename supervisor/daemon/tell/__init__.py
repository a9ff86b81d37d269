"""What others are told of the run: on record, in files, on a terminal, by systemd."""
