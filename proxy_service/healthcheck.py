"""``python -m proxy_service.healthcheck``: exits with 0 if the proxy in this container is alive.

It requests ``/livez`` on the port of ``BIND_ADDRESS``. It doesn't check the engine, because
restarting the proxy would not bring the engine back.
"""

import http.client
import os
import sys

from proxy_service.settings.schema import ProxySettings, SettingsError

_TIMEOUT_SECONDS = 3.0
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  only compared


def main() -> int:
    """Request ``/livez`` once; return the exit code."""
    try:
        bind = ProxySettings.from_environ(os.environ).bind
        host = _ANY_ADDRESS.get(bind.host, bind.host)
        connection = http.client.HTTPConnection(host, bind.port, timeout=_TIMEOUT_SECONDS)
        connection.request("GET", "/livez")
        status = connection.getresponse().status
    except (OSError, SettingsError, http.client.HTTPException) as error:
        sys.stderr.write(f"proxy_service: the proxy isn't alive: {error}\n")
        return 1
    return 0 if status == http.client.OK else 1


if __name__ == "__main__":
    sys.exit(main())
