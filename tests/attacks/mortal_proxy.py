"""A stand-in for the proxy: the real one, except that the first malformed request ends it."""

import os
import sys

from proxy_service.__main__ import main
from proxy_service.errors import ProxyError
from proxy_service.server.request import RequestReader

EXIT_CODE = 77


def _die(self: RequestReader, error: ProxyError) -> None:
    del self, error
    os._exit(EXIT_CODE)


if __name__ == "__main__":
    RequestReader.fail = _die  # type: ignore[method-assign]  # the fault of this stand-in
    sys.exit(main())
