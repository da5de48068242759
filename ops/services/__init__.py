"""Clients of the services that the commands talk to: HTTP, Docker."""
