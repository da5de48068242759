"""The Docker Engine that the stack runs on, used through the docker CLI."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from infra.topology import STACK_LABEL
from ops.processes.runner import Result, Runner
from ops.terminal.console import OperatorError, say

DEMO_INSTEAD = "(`make demo` runs without Docker)"

# A published port as ``docker ps`` shows it: 127.0.0.1:3000-3001->3000-3001/tcp, [::]:80->80/tcp.
_PUBLISHED = re.compile(r"(\S+):(\d+)(?:-(\d+))?->\S+/tcp")
_EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 (compared, not bound)


@dataclass(frozen=True)
class Publication:
    """TCP ports of the Docker host that a container has.

    Attributes:
        address: IP address; ``0.0.0.0`` or ``::`` for every one.
        ports: The ports, one or a range.
    """

    address: str
    ports: range

    def has(self, address: str, port: int) -> bool:
        """Return whether it is in the way of another listener on this address and port."""
        return port in self.ports and (
            address == self.address or address in _EVERY_ADDRESS or self.address in _EVERY_ADDRESS
        )


@dataclass(frozen=True)
class Container:
    """A container on the Docker host, running or not.

    Attributes:
        name: Its name.
        status: Its state in Docker's words, such as ``Up 2 minutes (healthy)``.
        labels: Its labels, as ``name=value``.
        publications: The ports that it has on the host; none while it isn't running.
    """

    name: str
    status: str
    labels: frozenset[str] = frozenset()
    publications: tuple[Publication, ...] = ()

    def belongs_to(self, stack: str) -> bool:
        """Return whether a stack of this project created it."""
        return f"{STACK_LABEL}={stack}" in self.labels


@dataclass(frozen=True)
class ContainerState:
    """What Docker knows of one container.

    Attributes:
        id: Its id.
        created: When it was created, as Docker writes it.
        restarts: How often Docker has restarted it after it ended.
        health: ``starting``, ``healthy`` or ``unhealthy``; empty without a health check.
    """

    id: str
    created: str
    restarts: int
    health: str


@dataclass(frozen=True)
class End:
    """How a container's process ended: its exit code, and whether it lacked memory."""

    code: int
    out_of_memory: bool


@dataclass(frozen=True)
class DockerEngine:
    """A Docker Engine.

    Attributes:
        runner: Starts the CLI.
        host: Its address; empty for DOCKER_HOST or the local one.
    """

    runner: Runner
    host: str = ""

    @property
    def environ(self) -> Mapping[str, str]:
        """Variables that point the CLI to the engine."""
        return {"DOCKER_HOST": self.host} if self.host else {}

    def run(self, *arguments: str) -> Result:
        """Run a docker command and return its output."""
        return self.runner.capture(["docker", *arguments], self.environ)

    def require(self) -> None:
        """Raise OperatorError unless the engine answers."""
        if self.runner.which("docker") is None:
            raise OperatorError(f"Docker is not installed: `docker` is not on PATH {DEMO_INSTEAD}")
        result = self.run("version", "--format", "{{.Server.Version}}")
        if not result.ok:
            raise OperatorError(
                f"Docker can't be reached{self._context()}: {result.reason} {DEMO_INSTEAD}"
            )

    def _context(self) -> str:
        """Return which Docker context names the engine, if one does."""
        shown = self.run("context", "inspect", "--format", "{{.Name}}")
        name = shown.stdout.strip()
        if not shown.ok or name in ("", "default"):
            return ""
        return f" through the Docker context {name} (`docker context use` chooses another)"

    def fetch_images(self, references: Mapping[str, str]) -> None:
        """Pull every image that is not on the engine's host.

        Args:
            references: Image references by the setting that names them.

        Raises:
            OperatorError: One can't be pulled; names it, its setting and the reason.
        """
        for setting, reference in references.items():
            if self.run("image", "inspect", "--format", "{{.Id}}", reference).ok:
                continue
            say(f"Pulling {reference} …")
            if self.runner.show(["docker", "pull", "--quiet", reference], self.environ):
                raise OperatorError(
                    f"the image {reference} is not on the Docker host and can't be pulled; the "
                    f"lines above say why. Set another with `pulumi config set {setting} …` "
                    f"{DEMO_INSTEAD}"
                )

    def containers(self) -> dict[str, Container]:
        """Return every container by its name."""
        listing = self.run("ps", "--all", "--format", "{{json .}}")
        if not listing.ok:
            raise OperatorError(f"Docker can't be reached: {listing.reason}")
        found = [_container(json.loads(line)) for line in listing.stdout.splitlines()]
        return {container.name: container for container in found}

    def container_state(self, name: str) -> ContainerState | None:
        """Return the state of the container with this name or id; None if there is none."""
        shown = self.run("container", "inspect", "--format", "{{json .}}", name)
        if not shown.ok:
            return None
        found = json.loads(shown.stdout)
        health = (found["State"].get("Health") or {}).get("Status", "")
        return ContainerState(found["Id"], found["Created"], found["RestartCount"], health)

    def last_end(self, container: ContainerState) -> End | None:
        """Return how a container ended last; None if Docker no longer knows.

        Its state can't tell: it is that of the new process as soon as the container restarts.
        """
        shown = self.run(
            *("events", "--since", container.created, "--until", "0s"),
            *("--filter", f"container={container.id}"),
            *("--filter", "event=die", "--filter", "event=oom"),
            *("--format", "{{.Action}} {{.Actor.Attributes.exitCode}}"),
        )
        events = [line.split() for line in shown.stdout.splitlines()]
        codes = [int(words[1]) for words in events if words[0] == "die"]
        return End(codes[-1], any(words[0] == "oom" for words in events)) if codes else None

    def last_lines(self, container: str, count: int | None = None) -> list[str]:
        """Return the last lines of a container's log, or all, in the order of their writing."""
        tail = "all" if count is None else str(count)
        shown = self.run("logs", "--timestamps", "--tail", tail, container)
        # The CLI prints what the container wrote to stderr to its own.
        lines = sorted([*shown.stdout.split("\n"), *shown.stderr.split("\n")])
        texts = [text for time, _, text in (line.partition(" ") for line in lines) if time]
        return texts if count is None else texts[-count:]

    def usage(self, container: str) -> str:
        """Return what a container has received and uses, in words; empty while it doesn't run."""
        shown = self.run("stats", "--no-stream", "--format", "{{.NetIO}}|{{.MemUsage}}", container)
        network, _, memory = shown.stdout.strip().partition("|")
        if not shown.ok or not memory or memory.startswith("0B"):
            return ""
        return f"{network.partition(' / ')[0]} received, {memory.replace(' / ', ' of ')} of memory"

    def remove_container(self, container: str) -> None:
        """Remove a container and its anonymous volumes, even while it runs."""
        self.run("container", "rm", "--force", "--volumes", container)

    @property
    def is_on_this_machine(self) -> bool:
        """Whether the engine publishes ports on this machine, as far as its address tells."""
        shown = self.run("context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
        return (self.host or shown.stdout.strip()).startswith(("unix:", "npipe:"))

    def existing_volumes(self, names: list[str]) -> list[str]:
        """Return those of ``names`` that exist as volumes."""
        return [name for name in names if self.run("volume", "inspect", name).ok]


def _container(shown: Mapping[str, str]) -> Container:
    """Read a line of ``docker ps``."""
    published = [
        Publication(address.strip("[]"), range(int(first), int(last or first) + 1))
        for address, first, last in _PUBLISHED.findall(shown.get("Ports", ""))
    ]
    labels = frozenset(shown.get("Labels", "").split(","))
    return Container(shown["Names"], shown["Status"], labels, tuple(published))
