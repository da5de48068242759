"""The demo: engine, proxy and Prometheus on this machine, without Docker."""
