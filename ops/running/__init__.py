"""What runs: a demo or a stack, and the URLs of its services."""
