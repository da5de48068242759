"""The full stack with Pulumi: ``python -m ops.stack COMMAND``, what ``make COMMAND`` runs.

Docker, the CLI, its plugins and the images are checked before anything changes. Exit code 0 on
success, 1 with a message on failure, or Pulumi's own exit code.
"""

import argparse
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.http_proxies import loopback_exemption
from infra.image_digests import recorded_digests
from infra.settings.schema import Settings, in_setting_names
from infra.settings.types import ServiceMode
from infra.topology import DEFAULT_STACK, ENGINE, GRAFANA_USER, MEMBERS, physical_name
from monitoring.thresholds import ThresholdsError
from ops.checkout import ROOT, RUN_DIR, TOOLS_DIR
from ops.clients.docker import Container, DockerEngine
from ops.clients.prometheus import Prometheus, PrometheusError
from ops.processes.runner import Runner, SystemRunner
from ops.pulumi.backend import choose_backend, create_local_backend, ensure_passphrase
from ops.pulumi.cli import ensure_cli, ensure_plugins, find_cli, install_officially, path_with
from ops.pulumi.settings import StackConfig, read_stack_config
from ops.pulumi.stack import PulumiStack
from ops.running.stack import find_stack
from ops.running.targets import stack_targets
from ops.stack.follow import follow
from ops.stack.obstacles import obstacles
from ops.stack.prometheus_files import write_prometheus_files
from ops.stack.recovery import Recovery
from ops.stack.starting import Starting, StartWatch
from ops.stack.update_lines import writer
from ops.terminal.console import OperatorError, say
from ops.terminal.status import Terminal

VOLUME = "docker:index/volume:Volume"
URLS = {
    "Ollama API": "proxyUrl",
    "Metrics": "metricsUrl",
    "Prometheus": "prometheusUrl",
    "Grafana": "grafanaUrl",
    "Dashboard": "dashboardUrl",
}


@dataclass(frozen=True)
class Operator:
    """The commands, for one stack.

    Attributes:
        config: The stack's settings.
        runner: Starts other programs.
        root: The project's folder.
        environ: The operator's environment.
        install_cli: Installs the Pulumi CLI into a folder.
    """

    config: StackConfig
    runner: Runner
    root: Path
    environ: Mapping[str, str]
    install_cli: Callable[[Path], None] = install_officially

    @property
    def docker(self) -> DockerEngine:
        """The Docker Engine that the stack's setting names."""
        return DockerEngine(self.runner, str(self.config.values["dockerHost"]))

    def check(self) -> str:
        """Check Docker, and install the CLI and plugins if needed; return the CLI's path.

        Raises:
            OperatorError: One of them is missing; the message says what to do.
        """
        self.docker.require()
        tools = self.root / TOOLS_DIR.name
        cli = ensure_cli(self.runner, tools, self.config.required_cli, self.install_cli)
        ensure_plugins(self.runner, cli)
        return cli

    def up(self) -> int:
        """Start the stack, or update it."""
        cli = self.check()
        settings = self._settings()
        if in_the_way := obstacles(self.docker, settings, self.config.short_name):
            raise OperatorError("\nerror: ".join(in_the_way))
        self.docker.fetch_images(self.config.needed_images(recorded_digests()))
        stack = self._open(cli)
        stack.select(create=True)
        recovery = Recovery(stack, self.docker)
        state = recovery.refresh(stack.state())
        terminal = Terminal()
        command = ["up", "--yes", *recovery.images_to_replace(state)]
        if terminal.rewrites:
            command += ["--color", "always"]
        watch = StartWatch(
            self.docker, self._starting(settings), terminal, self.root / RUN_DIR.name
        )
        code, problem = watch.run(lambda ending: stack.relay(writer(terminal), ending, *command))
        if problem is not None:
            raise OperatorError(problem)
        if code == 0:
            say(self._how_to_reach(stack.outputs() or {}))
        return code

    def preview(self) -> int:
        """Show what ``up`` would change."""
        stack = self._open(self.check())
        stack.select(create=True)
        recovery = Recovery(stack, self.docker)
        return stack.show("preview", *recovery.images_to_replace(recovery.catch_up()))

    def down(self) -> int:
        """Stop the stack and remove it, except its data volumes."""
        stack = self._open(self.check())
        if not stack.select(create=False):
            say(f"There is no stack {stack.name}, so there is nothing to take down.")
            return 0
        state = stack.state()
        recovery = Recovery(stack, self.docker)
        if recovery.is_needed(state):
            # A container that isn't in the state would keep the network in use.
            state = recovery.refresh(state)
        volumes = [str(volume["outputs"]["name"]) for volume in state.resources(VOLUME)]
        # Without Pulumi's own refresh, which would read from a Grafana that may be gone.
        code = stack.show("destroy", "--yes", "--exclude-protected")
        kept = self.docker.existing_volumes(volumes)
        if code == 0 and kept:
            say(f"Kept for the next `make up`: the volumes {', '.join(kept)}.")
            say(f"Delete them with: docker volume rm {' '.join(kept)}")
            say("Grafana's own database was deleted, unless the setting protectData is on.")
        return code

    def logs(self, service: str | None) -> int:
        """Follow the log of one service, or of all running ones."""
        self.docker.require()
        there = self._containers()
        if service is not None and service not in there:
            raise OperatorError(
                f"{service} has no container; these have: {', '.join(there) or 'none'}"
            )
        if not there:
            raise OperatorError(
                f"stack {self.config.stack} has no containers; start it with `make up`"
            )
        chosen = [service] if service else list(there)
        return follow({name: there[name].name for name in chosen}, self.docker.environ)

    def status(self) -> int:
        """Show containers, URLs and firing alerts; return 1 unless all containers are healthy."""
        self.docker.require()
        containers = self._containers()
        for service, container in containers.items():
            say(f"  {service:<11} {container.name:<32} {container.status}")
        if not containers:
            say(f"Stack {self.config.stack} has no containers; start it with `make up`.")
            return 1
        stack = find_stack(self.config.stack, self.root, self.runner, self.environ)
        outputs = (stack.outputs() if stack else None) or {}
        for line in _url_lines(outputs):
            say(line)
        say(_alert_line(stack_targets(self.config.stack, outputs).prometheus_api))
        return 0 if all("(healthy)" in one.status for one in containers.values()) else 1

    def prometheus_files(self) -> int:
        """Write the files for a Prometheus of the user's own."""
        folder = self.root / RUN_DIR.name / f"prometheus-{self.config.short_name}"
        try:
            say(write_prometheus_files(self._settings(), folder))
        except ThresholdsError as error:
            raise OperatorError(in_setting_names(str(error))) from error
        return 0

    def env(self) -> int:
        """Print the variables that `pulumi` needs to use the same state."""
        cli = find_cli(self.runner, self.root / TOOLS_DIR.name, self.config.required_cli)
        backend = None
        if cli is not None:
            backend = choose_backend(self.runner, cli, self.root, self.environ)
        if cli is None or backend is None:
            raise OperatorError("there is no Pulumi state yet; run `make preview` or `make up`")
        variables = {"PATH": path_with(cli), **loopback_exemption(self.environ), **backend}
        say("\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items()))
        return 0

    def _open(self, cli: str) -> PulumiStack:
        backend = choose_backend(self.runner, cli, self.root, self.environ)
        if backend is None:
            backend = create_local_backend(self.root, self.environ)
            say("Pulumi is not logged in, so its state is kept in .pulumi-state/ of this checkout.")
        ensure_passphrase(backend)
        return PulumiStack(self.runner, cli, self.config.stack, backend)

    def _how_to_reach(self, outputs: Mapping[str, str]) -> str:
        lines = ["", "The stack is up:", *_url_lines(outputs)]
        if self.config.values["prometheus"] == ServiceMode.EXTERNAL:
            lines.append("  `make prometheus-files` writes the scrape job and the rules for it.")
        if outputs.get("grafanaAdminPassword"):
            lines += ["", f"  {self._login(outputs)}"]
        if outputs.get("apiKey"):
            lines.append(
                "  Clients of the Ollama API must send the apiKey that you set "
                "(`pulumi stack output apiKey --show-secrets`)."
            )
        return "\n".join([*lines, "", "  Check everything with `make verify`.", ""])

    def _login(self, outputs: Mapping[str, str]) -> str:
        """Return how to log in to Grafana; only the default password is shown."""
        user, password = outputs.get("grafanaUser", GRAFANA_USER), outputs["grafanaAdminPassword"]
        if password == self.config.values["grafanaAdminPassword"]:
            return f"Log in to Grafana as {user} with the password {password}."
        return (
            f"Log in to Grafana as {user} with the password that you set "
            "(`pulumi stack output grafanaAdminPassword --show-secrets`)."
        )

    def _settings(self) -> Settings:
        """Return the stack's settings; the Pulumi program reports those that are invalid."""
        # Imported here, since the SDK, which the module uses, takes a second to load.
        from infra.settings.reading import parse  # noqa: PLC0415

        return parse(self.config.text_of)[0]

    def _starting(self, settings: Settings) -> list[Starting]:
        """Return the containers that an update may start, and how long Pulumi waits for each."""
        return [
            Starting(
                service,
                physical_name(member.container, self.config.short_name),
                settings.engine_wait_seconds if member is ENGINE else settings.wait_seconds,
            )
            for service, member in MEMBERS.items()
        ]

    def _containers(self) -> dict[str, Container]:
        """Return the stack's existing containers, by service."""
        names = {
            service: physical_name(member.container, self.config.short_name)
            for service, member in MEMBERS.items()
        }
        there = self.docker.containers()
        return {service: there[name] for service, name in names.items() if name in there}


def _url_lines(outputs: Mapping[str, str]) -> list[str]:
    return [f"  {title:<11} {outputs[key]}" for title, key in URLS.items() if outputs.get(key)]


def _alert_line(prometheus: Prometheus | None) -> str:
    if prometheus is None:
        return "Alerts: unknown, since the stack has no Prometheus."
    try:
        firing = prometheus.firing()
    except PrometheusError as error:
        return f"Alerts: unknown, {error}"
    return f"Alerts firing: {', '.join(firing) or 'none'}"


def main(arguments: Sequence[str]) -> int:
    """Run a command on the stack that STACK names, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ops.stack")
    parser.add_argument(
        "command",
        choices=["up", "down", "preview", "logs", "status", "prometheus-files", "env", "check"],
    )
    parser.add_argument("service", nargs="?", choices=list(MEMBERS), help="for logs")
    options = parser.parse_args(arguments)
    name = os.environ.get("STACK") or DEFAULT_STACK
    operator = Operator(read_stack_config(ROOT, name), SystemRunner(), ROOT, os.environ)
    if options.command == "logs":
        return operator.logs(options.service)
    if options.command == "check":
        operator.check()
        return 0
    commands = {
        "up": operator.up,
        "down": operator.down,
        "preview": operator.preview,
        "status": operator.status,
        "prometheus-files": operator.prometheus_files,
        "env": operator.env,
    }
    return commands[options.command]()
