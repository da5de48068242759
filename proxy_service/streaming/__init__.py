"""Streams, without I/O: they take the engine's bytes and return the client's."""
