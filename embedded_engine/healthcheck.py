"""Check that the server in this container is up: `python -m embedded_engine.healthcheck`.

Exit code 0 if `/health` returns 200, else 1. Standard library only.
"""

import os
import sys
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException

from embedded_engine.settings import HEALTH_PATH, listening_port

_TIMEOUT_SECONDS = 3.0


def main() -> None:
    """Exit with 0, or with 1 and the reason."""
    connection = HTTPConnection("127.0.0.1", listening_port(os.environ), timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", HEALTH_PATH)
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        sys.exit(f"unhealthy: {error}")
    finally:
        connection.close()
    if status != HTTPStatus.OK:
        sys.exit(f"unhealthy: {HEALTH_PATH} returned status {status}")


if __name__ == "__main__":
    main()
