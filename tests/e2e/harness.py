"""Real stacks on real Docker, each with a copy of the project, and ports and state of its own."""

import json
import os
import secrets
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
COMMAND_SECONDS = 900.0
EXTRA_SETTINGS = "E2E_SETTINGS"
"""Environment variable with further settings: ``grafanaImage=…;prometheusImage=…``."""


def missing_tools() -> str | None:
    """Return a sentence about a tool that the tests need and this machine lacks, or None."""
    for tool in ("pulumi", "docker", "git"):
        if shutil.which(tool) is None:
            return f"`{tool}` is not on PATH: install it, since these tests run the real stack."
    version = subprocess.run(
        ["docker", "version", "--format", "{{.Server.Version}}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if version.returncode:
        return f"The Docker Engine can't be reached: {version.stderr.strip()}"
    return None


def copy_project(folder: Path) -> Path:
    """Copy the files that Git doesn't ignore, so that a test may edit them."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    return folder


@dataclass
class Stack:
    """One Pulumi stack of a copied project."""

    folder: Path
    state: Path
    name: str = field(default_factory=lambda: f"e2e-{secrets.token_hex(3)}")

    @property
    def environ(self) -> dict[str, str]:
        return {
            **os.environ,
            "PULUMI_BACKEND_URL": self.state.as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "only for this test",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "STACK": self.name,
        }

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the project's folder; it may fail."""
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )

    def succeed(self, *command: str) -> str:
        """Run a command that must succeed; return everything that it printed."""
        done = self.run(*command)
        output = done.stdout + done.stderr
        assert done.returncode == 0, f"{' '.join(command)}:\n{output[-6000:]}"
        return output

    def pulumi(self, *arguments: str) -> str:
        return self.succeed("pulumi", *arguments, "--stack", self.name, "--non-interactive")

    def operate(self, command: str) -> str:
        """Run the command behind ``make up`` or ``make down``."""
        return self.succeed(".venv/bin/python", "-m", "ops.stack", command)

    def up(self) -> str:
        return self.pulumi("up", "--yes", "--skip-preview")

    def create(self, settings: Mapping[str, str]) -> None:
        self.state.mkdir(exist_ok=True)
        self.succeed("pulumi", "stack", "init", self.name, "--non-interactive")
        for name, value in settings.items():
            self.pulumi("config", "set", name, value)

    def planned(self) -> dict[str, str]:
        """Return what an ``up`` would do, by resource name, without unchanged resources."""
        steps = json.loads(self.pulumi("preview", "--json"))["steps"]
        changes = {step["urn"].rpartition("::")[2]: step["op"] for step in steps}
        return {name: op for name, op in changes.items() if op != "same"}

    def outputs(self) -> dict[str, str]:
        outputs: dict[str, str] = json.loads(
            self.pulumi("stack", "output", "--json", "--show-secrets")
        )
        return outputs

    def container(self, name: str) -> str:
        return f"{name}-{self.name}"

    def remove(self) -> None:
        """Remove everything that belongs to the stack, even after a test that failed half-way."""
        if self.state.exists():
            self.run("pulumi", "destroy", "--yes", "--skip-preview", "--stack", self.name)
        label = f"frontier.stack={self.name}"
        for container in docker("ps", "--all", "--quiet", "--filter", f"label={label}").split():
            docker("rm", "--force", "--volumes", container)
        for kind in ("volume", "network"):
            names = docker(kind, "ls", "--format", "{{.Name}}", "--filter", f"name={self.name}")
            for name in names.split():
                docker(kind, "rm", name)
        images = docker("images", "--format", "{{.Repository}}:{{.Tag}}")
        for image in images.split():
            if image.endswith(f":local-{self.name}"):
                docker("rmi", image)


@contextmanager
def new_stack(folder: Path, settings: Mapping[str, str]) -> Iterator[Stack]:
    """Create a stack with these settings, without starting it; remove it at the end."""
    stack = Stack(copy_project(folder / "project"), folder / "state")
    try:
        stack.create({**settings, **extra_settings()})
        yield stack
    finally:
        stack.remove()


def extra_settings() -> dict[str, str]:
    """Return settings for this machine, such as image mirrors."""
    pairs = os.environ.get(EXTRA_SETTINGS, "").split(";")
    return dict(pair.split("=", 1) for pair in pairs if pair)


def docker(*arguments: str) -> str:
    """Run a docker command that must succeed; return what it printed."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr}"
    return done.stdout


def address_in_docker() -> str:
    """Return an address of this machine that containers reach."""
    template = "{{(index .IPAM.Config 0).Gateway}}"
    return docker("network", "inspect", "bridge", "--format", template).strip()


def inspect(container: str) -> dict[str, Any]:
    """Return everything that Docker reports about a container."""
    described: dict[str, Any] = json.loads(docker("inspect", container))[0]
    return described


def container_ids(stack_name: str) -> dict[str, str]:
    """Return the ids of a stack's running containers, by name."""
    lines = docker(
        "ps", "--no-trunc", "--filter", f"label=frontier.stack={stack_name}",
        "--format", "{{.Names}} {{.ID}}",
    )  # fmt: skip
    return dict(line.split() for line in lines.splitlines())


def fetch(url: str, body: object | None = None, *, login: tuple[str, str] | None = None) -> Any:  # noqa: ANN401 - JSON
    """Get a URL, or post JSON to it; return the JSON of the response."""
    request = urllib.request.Request(url)  # noqa: S310 - same
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    if login is not None:
        request.add_header("Authorization", f"Basic {b64encode(':'.join(login).encode()).decode()}")
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - the stack's own URLs
        return json.load(response)


def fetch_text(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as response:  # noqa: S310 - same
        return str(response.read().decode())


def eventually(look: Callable[[], Any], *, within: float = 90.0) -> Any:  # noqa: ANN401 - what it finds
    """Call ``look`` until it finds something; fail after ``within`` seconds."""
    end = time.monotonic() + within
    while True:
        try:
            found = look()
        except (urllib.error.URLError, OSError) as error:
            found, last = None, error
        else:
            last = found
        if found:
            return found
        assert time.monotonic() < end, f"not within {within:g} s; last: {last!r}"
        time.sleep(0.5)
