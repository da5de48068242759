"""The proxy under its memory limit: as a container of the stack's image, or as a process.

A container has the limit and the restrictions that the stack gives it. Docker kills it if it needs
more memory, and starts it again. A process is watched, and killed and started again in the same
way. Its limit is on resident memory, while a container's also counts the kernel's buffers.
"""

import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from infra.components.proxy import MEMORY_MB
from infra.container import ContainerSpec, HealthCheck, Placement, container_args
from infra.images import PROXY_USER
from infra.topology import PROJECT, PROXY
from ops.clients.docker import DockerEngine
from ops.processes.process import Process
from ops.terminal.console import OperatorError

MIB: Final = 1024 * 1024
_KIB: Final = 1024
PROGRAM: Final = ("-m", "proxy_service")


@dataclass(frozen=True)
class Memory:
    """Resident memory in bytes: now, and the most since the proxy started."""

    now: int
    most: int


@dataclass(frozen=True)
class Restarts:
    """How often the proxy has been started again, and how it ended the last time."""

    number: int = 0
    last_end: str = ""

    def __str__(self) -> str:
        """Render both for the report."""
        return f"{self.number} restarts" + f", the last after {self.last_end}" * (self.number > 0)


class AttackedProxy(Protocol):
    """A running proxy."""

    def look(self) -> Memory | None:
        """Return its memory; None while it doesn't run."""

    def restarts(self) -> Restarts:
        """Return how often it has been started again so far."""

    def close(self) -> None:
        """End it."""


class ProxyProcess:
    """The proxy as a process. Whoever calls ``look`` often enough keeps it within its limit.

    Args:
        environ: Its variables.
        log: File that its output is appended to.
        program: Arguments of the interpreter.
        limit_bytes: How much memory it may have.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        log: Path,
        program: Sequence[str] = PROGRAM,
        *,
        limit_bytes: int = MEMORY_MB * MIB,
    ) -> None:
        self._limit_bytes = limit_bytes
        self._command = [sys.executable, *program]
        self._environ = environ
        self._log = log
        self._lock = threading.Lock()
        self._restarts = Restarts()
        self._process = Process(self._command, log, environ)

    def look(self) -> Memory | None:
        """Return its memory; kill it if that was above the limit, and start it again if it ended.

        The peak is the kernel's own count, so that no moment is missed.
        """
        with self._lock:
            memory = memory_of(self._process.pid)
            over = memory is not None and memory.most > self._limit_bytes
            if over:
                self._process.kill()
            code = self._process.exit_code
            if code is None:
                return memory
            end = f"used more than {self._limit_bytes // MIB} MiB of memory" if over else _how(code)
            self._restarts = Restarts(self._restarts.number + 1, end)
            self._process = Process(self._command, self._log, self._environ)
            return memory

    def restarts(self) -> Restarts:
        """Return how often it has been started again so far."""
        return self._restarts

    def close(self) -> None:
        """End it."""
        self._process.end()


class ProxyContainer:
    """The proxy as a container on the machine's network, with the stack's restrictions.

    Args:
        image: The image.
        environ: Its variables.
        docker: Docker on this machine.
        port: Distinguishes the container's name.
        log: File that gets its output in the end.

    Raises:
        OperatorError: It can't be started.
    """

    def __init__(
        self, image: str, environ: Mapping[str, str], docker: DockerEngine, port: int, log: Path
    ) -> None:
        self._docker = docker
        self._log = log
        self._name = f"{PROJECT}-attacked-proxy-{port}"
        self._pid: int | None = None
        done = docker.run("run", *run_options(image, environ), "--name", self._name, image)
        if not done.ok:
            raise OperatorError(f"docker can't run {image}: {done.reason}")

    def look(self) -> Memory | None:
        """Return its memory; None while it doesn't run."""
        memory = memory_of(self._pid) if self._pid else None
        if memory is None:
            self._pid = self._find()
            memory = memory_of(self._pid) if self._pid else None
        return memory

    def restarts(self) -> Restarts:
        """Return how often Docker has started it again so far."""
        state = self._docker.container_state(self._name)
        if state is None:
            return Restarts(1, "its container has disappeared")
        end = self._docker.last_end(state) if state.restarts else None
        how = "" if end is None else _how(end.code) + (", out of memory" * end.out_of_memory)
        return Restarts(state.restarts, how)

    def close(self) -> None:
        """Remove it, and keep its log."""
        self._log.write_text("\n".join(self._docker.last_lines(self._name)), encoding="utf-8")
        self._docker.remove_container(self._name)

    def _find(self) -> int | None:
        """Return the proxy's process: the child of the container's first one, which is an init."""
        shown = self._docker.run("inspect", "--format", "{{.State.Pid}}", self._name)
        first = shown.stdout.strip()
        with suppress(OSError):
            children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
            return int(children[0]) if children else None
        return None


def run_options(image: str, environ: Mapping[str, str]) -> list[str]:
    """Return options of ``docker run`` for what the stack's container has."""
    spec = ContainerSpec(
        member=PROXY,
        image=image,
        health_check=HealthCheck(command=()),  # the image has its own
        wait_seconds=0,
        memory_mb=MEMORY_MB,
        user=PROXY_USER,
        environment=environ,
    )
    # Typed as what Pulumi may compute later; all of it is known.
    args: Any = container_args(spec, Placement("attacks", "host"), None)
    return [
        "--detach", "--init", "--read-only", "--network", "host",
        "--restart", args.restart,
        "--user", args.user,
        "--memory", f"{args.memory}m", "--memory-swap", f"{args.memory_swap}m",
        "--log-driver", args.log_driver,
        *(word for item in args.log_opts.items() for word in ("--log-opt", "=".join(item))),
        *(word for path, how in args.tmpfs.items() for word in ("--tmpfs", f"{path}:{how}")),
        *(word for name in args.capabilities.drops for word in ("--cap-drop", name)),
        *(word for option in args.security_opts for word in ("--security-opt", option)),
        *(word for variable in args.envs for word in ("--env", variable)),
    ]  # fmt: skip


def memory_of(pid: int) -> Memory | None:
    """Return the resident memory of a process; None if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    fields = dict(line.split(":", 1) for line in lines)
    if "VmRSS" not in fields:
        return None  # a zombie
    now, most = (int(fields[name].split()[0]) * _KIB for name in ("VmRSS", "VmHWM"))
    return Memory(now, most)


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
