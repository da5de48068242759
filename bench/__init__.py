"""The bench: this proxy beside its peers, in one alternating run on one machine.

Everything that only stands in for something lives here: the scripted engine, the load
generators, the peers' configurations. ``python -m bench`` (``make bench``) runs it.
"""
