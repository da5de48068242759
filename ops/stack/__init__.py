"""The full stack: what ``make up`` and its siblings run."""
