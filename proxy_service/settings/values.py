"""What the settings are made of: defaults, limits, and where to listen."""

import ipaddress
import re
from dataclasses import dataclass

DEFAULT_PORT = 11434  # Ollama's own
DEFAULT_ENGINE_URL = "http://127.0.0.1:8080"
# Far more than Mistral.rs, which has a queue of its own, works on at once. It protects against
# floods of requests, and isn't meant as a throttle.
DEFAULT_CONCURRENT_REQUESTS = 512
DEFAULT_QUEUED_REQUESTS = 512  # as Ollama's OLLAMA_MAX_QUEUE
# Each takes some 10 KiB while it is idle.
DEFAULT_CONNECTIONS = 4096

MAX_PORT = 65535
# The longest name in DNS, without its final dot.
_MAX_NAME = 253
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
MIB = 1024 * 1024
LOADED_MODELS = range(1001)
CONCURRENT_REQUESTS = range(1, 100_001)
QUEUED_REQUESTS = range(100_001)
CONNECTIONS = range(1, 1_000_001)
BODY_MEBIBYTES = range(1, 4097)
UNPACKED_MEBIBYTES = range(1, 1025)
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("json", "text")


@dataclass(frozen=True, slots=True)
class BindAddress:
    """Where to listen; ``host`` is a name or an address, without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return the address as it is written in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it; false for all names but localhost."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


DEFAULT_BIND = BindAddress("127.0.0.1", DEFAULT_PORT)


def is_host(text: str) -> bool:
    """Return whether a text is an IP address, without brackets, or can be a host's name.

    Names are as in DNS, RFC 1123, with the underscore that names of containers may have. A name
    that ends in a number is an IPv4 address or nothing.
    """
    try:
        ipaddress.ip_address(text)
    except ValueError:
        name = text.removesuffix(".")
        labels = name.split(".")
        is_name = len(name) <= _MAX_NAME and all(map(_LABEL.fullmatch, labels))
        return is_name and not labels[-1].isdigit()
    return True


def without_login(url: str) -> str:
    """Return a URL without the user and password in it."""
    return re.sub(r"//[^/]*@", "//", url)
