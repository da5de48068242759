"""Streams without I/O: the engine's bytes go in, the client's bytes come out."""
