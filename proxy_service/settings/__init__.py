"""The proxy's settings: every environment variable that it reads, in one table.

No other part of the proxy reads the environment. This one imports only the standard library, so
that the stack's definition can take names and default ports from it.
"""
