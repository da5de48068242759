"""The alerts, each once, as data; rendered for Prometheus and for Grafana."""
