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
        text = Path(file).expanduser().read_text(encoding="utf-8")
        check_authorities(text)
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"{file!r} has no certificates in PEM format: {reason}") from error
    return text


def check_authorities(text: str) -> None:
    """Raise ValueError unless a text has certificates in PEM form, all of which can be read."""
    # Only comments, such as names of authorities, can have characters beyond ASCII.
    plain = text.encode("ascii", "ignore").decode()
    try:
        # An empty text is no error here, unlike one without certificates.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=plain or "none")
    except (OSError, ValueError) as error:
        raise ValueError(getattr(error, "strerror", None) or error) from error
