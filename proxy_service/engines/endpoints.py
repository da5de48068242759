"""Remembers which endpoints an engine doesn't have.

Only an answer of the engine shows that. Asking before each request would cost a round trip, so the
answer counts for a while; then the next request finds out whether it still holds, since another
version of the engine may have been started.
"""

from proxy_service.clock import Clock

# Seconds: a request that the engine turns down at once is a small price each minute.
_REMEMBERED_SECONDS = 60.0


class MissingEndpoints:
    """The paths that one engine doesn't have, as far as is known."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    def __contains__(self, path: str) -> bool:
        """Return whether the engine lacked ``path`` a short while ago."""
        return self._until.get(path, float("-inf")) > self._clock.monotonic()

    def add(self, path: str) -> None:
        """Remember that the engine lacks ``path``, one of those in `wire.engine_paths`."""
        self._until[path] = self._clock.monotonic() + _REMEMBERED_SECONDS
