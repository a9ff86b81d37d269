"""What is known of one tool's checkpoints: a file each, and a row each in `table.py`."""
