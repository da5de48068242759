"""Commands for maintainers: the lock files, the images' digests, the settings' page."""
