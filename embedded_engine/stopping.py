"""Stops the server on SIGTERM and SIGINT, also while it is still starting.

Sanic's own handlers stop the event loop. A signal that arrives while the loop still runs the
listeners of the start is then lost, or ends the start with an error. The proxy has the same code,
because neither of the two images contains the other's package.
"""

import asyncio
import signal
from typing import Any

from sanic import Sanic

# Between two checks of whether the server has started.
_RETRY_SECONDS = 0.01


async def stop_on_signals(app: Sanic[Any, Any]) -> None:
    """Replace Sanic's signal handlers; a listener for `after_server_start`."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _stop, app, loop)


def _stop(app: Sanic[Any, Any], loop: asyncio.AbstractEventLoop) -> None:
    if app.state.is_running:
        app.stop(terminate=False)
    else:
        loop.call_later(_RETRY_SECONDS, _stop, app, loop)
