"""Clients of the services: the proxy, Prometheus, Grafana and the Docker Engine."""
