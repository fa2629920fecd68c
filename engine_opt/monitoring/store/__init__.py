"""The rooms behind `metric_store`."""
