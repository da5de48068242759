"""TCP ports of this machine: which are free, and which process listens on the others.

The process is looked up in Linux' /proc where there is one, else with lsof. That is best effort:
another user's process can't be named unless this one runs as root.
"""

import errno
import fcntl
import os
import random
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from ops.terminal.console import OperatorError
from proxy_service.settings.values import MAX_PORT

LOOPBACK = "127.0.0.1"
EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 (compared and probed, never served)

# State of a listening socket in /proc/net/tcp (include/net/tcp_states.h).
LISTEN = "0A"

# Maximum length of a process's command line in an error message.
SHOWN_COMMAND_LENGTH = 60

# Below the ports that Linux (from 32768) and macOS (from 49152) give to outgoing connections.
_LASTING: Final = range(20_000, 32_000)

# What ``free_port`` has returned, since nothing may listen there yet.
_picked: Final = set[int]()

# Byte N is locked by the process that ``free_port`` has given port N, until that process ends.
_RESERVATIONS: Final = Path("/tmp/frontier-llm-stack-ports")  # noqa: S108  TMPDIR can differ


@dataclass(frozen=True)
class Port:
    """A port that one of our processes is to listen on.

    Attributes:
        role: What listens there, in the operator's words.
        variable: The environment variable that sets it.
        number: TCP port.
    """

    role: str
    variable: str
    number: int


def read_port(role: str, variable: str, environ: Mapping[str, str], default: int) -> Port:
    """Read a port from the environment. Raises OperatorError when it isn't a TCP port."""
    text = environ.get(variable, "").strip() or str(default)
    if not text.isdecimal() or not 0 < int(text) <= MAX_PORT:
        raise OperatorError(f"{variable}={text} is not a port: set a number from 1 to {MAX_PORT}")
    return Port(role, variable, int(text))


def port_problems(ports: list[Port]) -> list[str]:
    """Return one line for each port that can't be listened on, without listening on any."""
    problems = []
    seen: dict[int, Port] = {}
    for port in ports:
        if port.number in seen:
            other = seen[port.number]
            problems.append(
                f"{other.variable} and {port.variable} are both {port.number}: "
                "give them different ports"
            )
        elif reason := unavailable(LOOPBACK, port.number):
            problems.append(
                f"port {port.number} ({port.role}) {reason}: stop that process, "
                f"or choose another port with {port.variable}=…"
            )
        seen.setdefault(port.number, port)
    return problems


def free_port(address: str) -> int:
    """Return a TCP port of an address of this machine that nothing listens on.

    It stays free while its process is restarted: the system doesn't use it for outgoing
    connections, and until the caller's process ends, ``free_port`` returns it to no other process
    on this machine.
    """
    for port in random.sample(_LASTING, len(_LASTING)):
        if port in _picked or not _reserve(port):
            continue
        with socket.socket() as probe:
            try:
                probe.bind((address, port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                _picked.add(port)
                return port
    raise OperatorError(f"no port of {address} from {_LASTING[0]} to {_LASTING[-1]} is free")


def _reserve(port: int) -> bool:
    """Reserve a port for this process; return False if another process has it."""
    try:
        fcntl.lockf(_reservations(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except BlockingIOError:
        return False
    return True


@cache
def _reservations() -> int:
    """Open the file of reservations, once: closing a second descriptor would end all locks."""
    with suppress(FileExistsError):
        os.close(os.open(_RESERVATIONS, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        _RESERVATIONS.chmod(0o666)  # other users' processes need it, too
    return os.open(_RESERVATIONS, os.O_RDWR | os.O_NOFOLLOW)


def unavailable(address: str, number: int) -> str | None:
    """Return why this process can't listen on an IPv4 address and port; None if it can."""
    if is_taken(address, number):
        return f"is taken by {holder(number) or 'another process'}"
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, number))
        except OSError as error:
            return f"can't be opened ({error.strerror})"
    return None


def is_taken(address: str, number: int) -> bool:
    """Return whether a process of this machine listens on an IPv4 address and port.

    False if this process isn't allowed to find out: Docker may open ports that this one may not.
    """
    # On macOS loopback can be bound while another process listens on 0.0.0.0: connect first.
    with socket.socket() as probe:
        probe.settimeout(1)
        if probe.connect_ex((LOOPBACK if address == EVERY_ADDRESS else address, number)) == 0:
            return True
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, number))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def holder(number: int) -> str | None:
    """Return the process that listens on a port as ``name (pid N)``; None if it isn't known."""
    return _holder_from_proc(number) or _holder_from_lsof(number)


def _holder_from_proc(number: int) -> str | None:
    wanted = {f"socket:[{inode}]" for inode in _listening_inodes(number)}
    if not wanted:
        return None
    for process in Path("/proc").glob("[0-9]*"):
        if any(link in wanted for link in _open_links(process)):
            return f"{_process_name(process)} (pid {process.name})"
    return None


def _listening_inodes(number: int) -> Iterator[str]:
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        if not table.exists():
            continue
        for line in table.read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            local_port = int(fields[1].rpartition(":")[2], 16)
            if local_port == number and fields[3] == LISTEN:
                yield fields[9]


def _open_links(process: Path) -> Iterator[str]:
    # Processes end meanwhile, and those of other users can't be read.
    try:
        descriptors = list((process / "fd").iterdir())
    except OSError:
        return
    for descriptor in descriptors:
        try:
            yield str(descriptor.readlink())
        except OSError:
            continue


def _process_name(process: Path) -> str:
    try:
        words = (process / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    except OSError:
        return "a process"
    return " ".join(words).strip()[:SHOWN_COMMAND_LENGTH] or "a process"


def _holder_from_lsof(number: int) -> str | None:
    lsof = shutil.which("lsof")
    if lsof is None:
        return None
    listing = subprocess.run(  # noqa: S603 (a fixed command and a number)
        [lsof, "-nP", f"-iTCP:{number}", "-sTCP:LISTEN", "-Fpc"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    ).stdout
    match = re.search(r"^p(\d+)\nc(.+)$", listing, re.MULTILINE)
    return f"{match[2]} (pid {match[1]})" if match else None
