"""The benchmark: this proxy beside its peers, measured in turn on one machine.

``python -m bench`` (``make bench``) runs it. The scripted engine, the load generators and the
peers' configurations are here too.
"""
