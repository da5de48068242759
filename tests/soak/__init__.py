"""The soak test: mixed traffic while the engine is killed and paused and clients misbehave.

At the end every request is accounted for, with the same outcome for its client, in the proxy's log,
in ``/metrics`` and in Prometheus, and the proxy holds no more resources than at the beginning.
"""
