"""Unpacks compressed request bodies, within limits of memory and time.

A few hundred bytes can unpack to gigabytes, or need a window of gigabytes. So both are limited, and
so is what is read: a decompressor would take its time for megabytes of empty blocks. A body is one
gzip member or one zstd frame, as clients write it. Further ones could each be empty.
"""

import sys
import zlib
from typing import Protocol

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from proxy_service.errors import BodyTooLarge, InvalidRequest
from proxy_service.settings.stack_names import named

# The content codings that are known. HTTP has two names for gzip (RFC 9110, 8.4.1.3).
CODINGS = ("zstd", "gzip", "x-gzip")

# `zlib` adds 16 to the size of the window, as a power of two, to read gzip's format.
_GZIP_WINDOW = 16 + zlib.MAX_WBITS


class _Decompressor(Protocol):
    """What the two decompressors have in common."""

    @property
    def unused_data(self) -> bytes:
        """What follows the end."""

    @property
    def eof(self) -> bool:
        """Whether the end has been read."""

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """Return at most ``max_length`` bytes."""


def unpack(body: bytes, coding: str, *, limit_bytes: int) -> bytes:
    """Return the unpacked body.

    Args:
        body: The body as it was sent.
        coding: One of `CODINGS`.
        limit_bytes: The largest size of the body, packed and unpacked, and of zstd's window; 1 KiB
            to 2 GiB, as zstd accepts it.

    Raises:
        BodyTooLarge: It is larger.
        InvalidRequest: It isn't in this coding, is incomplete, or something follows it.
    """
    if len(body) > limit_bytes:
        raise _too_large(limit_bytes)
    try:
        # A frame that declares a larger size may need a larger window, too.
        if coding == "zstd" and (zstd.get_frame_info(body).decompressed_size or 0) > limit_bytes:
            raise _too_large(limit_bytes)
        decompressor = _decompressor(coding, limit_bytes)
        unpacked = decompressor.decompress(body, limit_bytes + 1)
    except (zlib.error, zstd.ZstdError) as error:
        raise InvalidRequest(f"the body can't be unpacked as {coding}: {error}") from error
    if len(unpacked) > limit_bytes:
        raise _too_large(limit_bytes)
    if not decompressor.eof:
        raise InvalidRequest(f"the body's {coding} data is incomplete")
    if decompressor.unused_data:
        raise InvalidRequest(f"more data follows the end of the body's {coding} data")
    return unpacked


def _decompressor(coding: str, limit_bytes: int) -> _Decompressor:
    if coding != "zstd":
        return zlib.decompressobj(_GZIP_WINDOW)
    window = (limit_bytes - 1).bit_length()  # as a power of two
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: window})


def _too_large(limit_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"the unpacked body is larger than {limit_bytes} bytes; {named('MAX_UNPACKED_MIB')} and "
        f"{named('MAX_BODY_MIB')} set the limit"
    )
