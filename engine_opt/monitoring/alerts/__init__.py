"""The rooms behind `alerting_system`: what a rule says, where an alert stands, what is told of it."""
