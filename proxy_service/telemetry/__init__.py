"""What the proxy measures and logs."""
