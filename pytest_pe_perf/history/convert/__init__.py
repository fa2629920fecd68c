"""Runs of other programs into a history, and ours out for other programs."""
