"""Render; decide nothing."""
