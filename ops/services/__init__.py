"""Clients of the services: the proxy, Prometheus, Grafana, the Docker Engine."""
