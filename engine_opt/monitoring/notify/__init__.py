"""Where messages of alerts go."""
