"""The attack test: one attack after another on a proxy that ordinary clients use meanwhile.

The proxy runs under the memory limit of the stack's container. During each attack five clients
chat, the metrics are scraped and ``/livez`` is asked ten times per second. The test fails if the
proxy restarts, if ``/livez`` is late, or if a client or a scrape fails.
"""
