"""The accepted reference: JSON in git, reviewed like code."""
