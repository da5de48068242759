"""The Grafana dashboard, as data: signals, panels, rows and the dashboard's JSON."""
