"""Earlier runs, for trends and change points."""
