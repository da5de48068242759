"""Image references: a tag from the settings, and the digest that was recorded for it, if any.

``make pin-images`` writes ``digests.json``: one entry for each reference whose digest was read from
its registry. A reference without an entry is used by its tag.
"""

import json
from collections.abc import Mapping
from pathlib import Path

DIGESTS_FILE = Path(__file__).with_name("digests.json")


def recorded_digests() -> dict[str, str]:
    """Read the recorded digests: reference to ``sha256:`` and 64 hexadecimal digits."""
    digests: dict[str, str] = json.loads(DIGESTS_FILE.read_text(encoding="utf-8"))
    return digests


def pinned(reference: str, digests: Mapping[str, str]) -> str:
    """Append the digest recorded for exactly this reference; one that has a digest keeps it."""
    digest = digests.get(reference)
    return f"{reference}@{digest}" if digest else reference
