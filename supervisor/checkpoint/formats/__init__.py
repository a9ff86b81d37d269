"""What is known of one tool's checkpoints, a file each."""
