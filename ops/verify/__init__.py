"""The monitoring test: black-box checks of a running demo or stack, from endpoints to links.

Knows the services by URL alone. ``report`` is what a check says, ``targets`` finds the services,
the other modules are one section of checks each.
"""
