"""Which GPUs a container asks Docker for: reading ``all``, a number, or a list of devices.

The list has the form of ``docker run --gpus device=…``, and its ids are those that NVIDIA's
container toolkit knows: a GPU's index or UUID, and a MIG device's index or UUID.
"""

import re
from collections import Counter
from dataclasses import dataclass

NO_GPUS = "none"
ALL_GPUS = "all"

# Docker's number for all devices.
_EVERY = -1

_LIST = "device="
_QUOTES = "'\""
_ID = re.compile(
    r"\d+(:\d+)?"  # A GPU's index; with the index of a MIG device on it.
    r"|GPU-[0-9a-f]+(-[0-9a-f]+)*"  # A UUID; its beginning is enough.
    r"|MIG-[0-9a-f]+(-[0-9a-f]+)*"
    r"|MIG-GPU-[0-9a-f]+(-[0-9a-f]+)*/\d+/\d+"  # As drivers before 470 name MIG devices.
)
_ACCEPTS = (
    "must be none, all, a number of GPUs such as 2, or a list such as device=0,1 of indexes, "
    "UUIDs (GPU-…) or MIG devices (MIG-…, 0:1)"
)


@dataclass(frozen=True)
class GpuRequest:
    """GPUs for one container.

    Attributes:
        ids: Indexes or UUIDs of the devices, each once; empty to ask for a number of them.
        count: How many, -1 for all; 0 if ``ids`` names them.
    """

    ids: tuple[str, ...] = ()
    count: int = 0


def parse_gpus(text: str) -> GpuRequest | None:
    """Read the setting ``gpus``; quotes around it, which ``docker run`` needs, are ignored.

    Returns:
        None for no GPUs.

    Raises:
        ValueError: It is none of the accepted forms; the message says what is.
    """
    value = _unquoted(text)
    if value == NO_GPUS:
        return None
    if value == ALL_GPUS:
        return GpuRequest(count=_EVERY)
    if value.isascii() and value.isdecimal() and int(value) > 0:
        return GpuRequest(count=int(value))
    if not value.startswith(_LIST):
        hint = f"; did you mean {_LIST}{value}?" if _are_ids(value) else ""
        raise ValueError(f"{_ACCEPTS}, not {text!r}{hint}")
    return GpuRequest(ids=_ids(value.removeprefix(_LIST)))


def _unquoted(text: str) -> str:
    value = text.strip()
    while len(value) > 1 and value[0] in _QUOTES and value[0] == value[-1]:
        value = value[1:-1].strip()
    return value


def _are_ids(text: str) -> bool:
    return "," in text and all(_ID.fullmatch(item.strip()) for item in text.split(","))


def _ids(text: str) -> tuple[str, ...]:
    ids = tuple(item.strip() for item in _unquoted(text).split(","))
    for item in ids:
        if item == ALL_GPUS:
            raise ValueError(f"write {ALL_GPUS} instead of {_LIST}{ALL_GPUS}")
        if not _ID.fullmatch(item):
            raise ValueError(f"{_ACCEPTS}; {item!r} is no device")
    twice = [item for item, times in Counter(ids).items() if times > 1]
    if twice:
        raise ValueError(f"{', '.join(twice)} is in the list more than once")
    return ids
