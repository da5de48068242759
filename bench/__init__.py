"""The benchmark: this proxy beside its peers, measured in turn on one machine.

``python -m bench`` (``make bench``) runs it. The stand-in for the engine, the load generators
and the peers' configurations are here too.
"""
