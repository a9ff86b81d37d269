"""What a run keeps in its directory, and who may write there."""
