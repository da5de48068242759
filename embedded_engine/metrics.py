"""The engine's own metrics: CPU, memory and start of its process, in which the model runs too.

They exist only on Linux, where ``/proc`` has them.
"""

from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder

_PROCESS: Final = CollectorRegistry()
ProcessCollector(registry=_PROCESS)


def expose(accept: str) -> tuple[bytes, str]:
    """Return the metrics in the format that the ``Accept`` header asks for, and its type."""
    encode, content_type = choose_encoder(accept)
    return encode(_PROCESS), content_type
