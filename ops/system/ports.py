"""Is a port of this machine free, and if not, who holds it.

Reads Linux' /proc where there is one, else asks lsof. Naming the holder is best effort: another
user's process stays unnamed unless we are root.
"""

import errno
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ops.system.console import OperatorError

LOOPBACK = "127.0.0.1"
LISTEN = "0A"
"""State of a listening socket in /proc/net/tcp (include/net/tcp_states.h)."""
HIGHEST_PORT = 65535
SHOWN_COMMAND_LENGTH = 60
"""Characters of the holder's command line that still fit an error line."""


@dataclass(frozen=True)
class Port:
    """A port that a process of ours wants.

    Attributes:
        role: What listens there, as the operator knows it.
        variable: The variable that moves it.
        number: TCP port.
    """

    role: str
    variable: str
    number: int


def read_port(role: str, variable: str, environ: Mapping[str, str], default: int) -> Port:
    """Take a port from the environment. Raises OperatorError when it is no TCP port."""
    text = environ.get(variable, "").strip() or str(default)
    if not text.isdecimal() or not 0 < int(text) <= HIGHEST_PORT:
        raise OperatorError(f"{variable}={text} is not a port: give a number from 1 to 65535")
    return Port(role, variable, int(text))


def port_problems(ports: list[Port]) -> list[str]:
    """Return one line for each port that can't be had; nothing listens or changes by asking."""
    problems = []
    seen: dict[int, Port] = {}
    for port in ports:
        if port.number in seen:
            other = seen[port.number]
            problems.append(
                f"{other.variable} and {port.variable} are both {port.number}: give two ports"
            )
        elif reason := _unavailable(port.number):
            problems.append(
                f"port {port.number} ({port.role}) {reason}: stop that, "
                f"or choose another port with {port.variable}=…"
            )
        seen.setdefault(port.number, port)
    return problems


def _unavailable(number: int) -> str | None:
    # A connection also finds a listener on 0.0.0.0 where macOS would still let us bind loopback.
    with socket.socket() as probe:
        probe.settimeout(1)
        if probe.connect_ex((LOOPBACK, number)) == 0:
            return f"is taken by {holder(number) or 'another process'}"
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, number))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return f"is taken by {holder(number) or 'another process'}"
            return f"can't be opened ({error.strerror})"
    return None


def holder(number: int) -> str | None:
    """Name the process that listens on a port as ``name (pid N)``; None when it can't be told."""
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
    # Processes end while we look, and other users' descriptors are closed to us.
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
