"""The monitoring test: black-box checks of a running demo or stack, from endpoints to links.

It knows the services by their URLs, and of their code only how the proxy's settings are parsed,
for its keys. Each module is one section of checks; ``traffic`` sends
the requests that ``counts`` compares with the metrics.
"""
