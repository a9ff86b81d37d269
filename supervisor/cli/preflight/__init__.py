"""What `supervisor check` looks at before a run, one finding each."""
