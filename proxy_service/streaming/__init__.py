"""Streams, without I/O: they are fed the engine's bytes and return the client's."""
