"""The Grafana dashboard, as data: signals -> panels -> rows -> dashboard JSON."""
