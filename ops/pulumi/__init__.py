"""Pulumi: its CLI, where it keeps the state, and a stack's settings, state and outputs."""
