"""Translation between the two APIs, in pure functions: no sockets, clock or randomness."""
