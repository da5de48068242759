"""Prometheus on this machine: found on PATH or fetched into ``.tools/``, and started."""
