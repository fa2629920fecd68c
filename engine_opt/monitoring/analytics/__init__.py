"""The rooms behind `performance_analytics`."""
