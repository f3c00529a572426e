"""A source becomes frames, exactly."""
