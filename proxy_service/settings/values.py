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
MIB = 1024 * 1024
CONCURRENT_REQUESTS = range(1, 100_001)
QUEUED_REQUESTS = range(100_001)
CONNECTIONS = range(1, 1_000_001)
BODY_MEBIBYTES = range(1, 4097)
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


def without_login(url: str) -> str:
    """Return a URL without the user and password in it."""
    return re.sub(r"//[^/]*@", "//", url)
