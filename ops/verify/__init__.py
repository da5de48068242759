"""The monitoring test: black-box checks of a running demo or stack, from endpoints to links.

It knows the services only by their URLs. Each module is one section of checks; ``traffic`` sends
the requests that ``counts`` compares with the metrics.
"""
