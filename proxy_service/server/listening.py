"""The socket that the proxy listens on, and why it may not be able to."""

import errno
import socket

from proxy_service.settings.values import BindAddress

# Connections that the system keeps until they are accepted.
BACKLOG = 4096
# Bytes for a client that the system takes although it can't send them yet: enough for a quick one,
# since the proxy is told when there is room. It would take up to 4 MiB for each that reads slowly.
_UNSENT_BYTES = 128 * 1024


def listen(bind: BindAddress) -> socket.socket:
    """Return a socket that listens on ``bind``.

    It really listens: on Linux, ``SO_REUSEADDR`` lets several sockets bind one port as long as
    none of them listens, so a bound port alone isn't taken yet. Sanic calls ``listen`` again when
    it starts to accept, which changes nothing.

    Raises:
        OSError: The port is taken, or the address can't be used.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        bind.host, bind.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):  # connections inherit it
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def explain(error: OSError, bind: BindAddress) -> str:
    """Return one line that says why ``bind`` can't be used, and what to do."""
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {bind.port} on {bind.host} is taken, perhaps by Ollama; "
            "stop the program that uses it, or choose another port, for example "
            f"BIND_ADDRESS={bind.host}:{bind.port + 1}"
        )
    return f"can't listen on {bind}: {error.strerror or error}; set BIND_ADDRESS to another address"
