"""The operator's commands: demo, stack, verify, pin_images; run as ``python -m ops.NAME``."""
