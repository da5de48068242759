"""What maintainers run: locks, image digests, generated documents."""
