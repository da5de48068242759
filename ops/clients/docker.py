"""The Docker Engine that the stack runs on, used through the docker CLI."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from ops.processes.runner import Result, Runner
from ops.terminal.console import OperatorError, say

DEMO_INSTEAD = "(`make demo` runs without Docker)"


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

    def container_states(self) -> dict[str, str]:
        """Return each container's state in Docker's words, such as ``Up 2 minutes (healthy)``."""
        listing = self.run("ps", "--all", "--format", "{{json .}}")
        if not listing.ok:
            raise OperatorError(f"Docker can't be reached: {listing.reason}")
        containers = [json.loads(line) for line in listing.stdout.splitlines()]
        return {container["Names"]: container["Status"] for container in containers}

    def existing_volumes(self, names: list[str]) -> list[str]:
        """Return those of ``names`` that exist as volumes."""
        return [name for name in names if self.run("volume", "inspect", name).ok]
