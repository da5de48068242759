"""The operator's commands, run as ``python -m ops.NAME``.

demo, stack, verify, drill, prometheus and maintenance are commands. They share targets (where the
services are), report (the results of checks), services (clients of the services) and system (this
machine).
"""
