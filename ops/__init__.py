"""The operator's commands, run as ``python -m ops.NAME``.

demo, stack, verify, drill, locks, pin_images and prometheus are commands. They share running (what
runs, and where), pulumi (the CLI and the stack's state), clients (of the services), report (the
results of checks), processes, terminal and checkout (its folders).
"""
