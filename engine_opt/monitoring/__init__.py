"""What the engine tells: metrics, their history, analysis, alerts, a dashboard. Generic: knows nothing of options."""
