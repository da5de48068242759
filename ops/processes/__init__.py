"""Processes of this machine: starting them, waiting for them, and the ports that they listen on."""
