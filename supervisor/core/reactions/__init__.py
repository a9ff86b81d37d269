"""What comes of an event, by the state that the run is in: facts changed, effects asked for."""
