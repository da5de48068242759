"""The long run: mixed traffic while the engine is killed and paused and clients misbehave.

At its end every request that was sent is accounted for, by the clients, in the proxy's log, in
``/metrics`` and in Prometheus alike, and the proxy holds no more than when it began.
"""
