"""Files with certificate authorities."""

import ssl
from pathlib import Path


def read_authorities(file: str) -> str:
    """Return the certificates in a PEM file; an empty text for no file.

    Raises:
        ValueError: The file can't be read, or has no certificate.
    """
    if not file:
        return ""
    try:
        text = Path(file).read_text(encoding="utf-8")
        # An empty text is no error here, unlike one without certificates.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text or "none")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"{file!r} has no certificates in PEM format: {reason}") from error
    return text
