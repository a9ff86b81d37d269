"""What a training process has imported, recorded for the next one's interpreter."""
