"""Model digests."""

import hashlib


def digest(engine_id: str) -> str:
    """Return 64 hexadecimal digits that are always the same for one model.

    The engine has no digests, but Ollama's clients slice and compare them.
    """
    return hashlib.sha256(engine_id.encode()).hexdigest()
