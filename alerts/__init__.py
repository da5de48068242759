"""The alerts, as data; rendered for Prometheus and for Grafana."""
