"""Where the time and the memory of a measured call go, and what of that changed between two commits."""
