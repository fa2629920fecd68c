"""The rooms behind `dashboard_backend`, and the page."""
