"""``make pin-images``: record the digests that the images' tags have now."""
