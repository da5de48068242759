"""Image references: a tag from the settings and, where one is recorded, its digest.

The project ships without digests: ``digests.json`` is empty, and every image is used by its tag.
``make pin-images`` reads the digests of the images in the settings at their registries and records
them. A digest is valid only for the reference it was read for, so a changed tag needs a new run.
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
    """Return a reference with the digest recorded for it, or unchanged if there is none."""
    digest = digests.get(reference)
    return f"{reference}@{digest}" if digest else reference
