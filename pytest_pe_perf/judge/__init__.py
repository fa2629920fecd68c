"""Numbers in, verdicts out. No clock, no disk, no pytest."""
