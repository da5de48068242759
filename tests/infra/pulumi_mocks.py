"""Run the Pulumi program without Pulumi's engine, and keep every raw registration.

Mocks see only inputs. The raw requests also have parents, dependencies, options and secrets.
"""

# ruff: noqa: ANN401 - raw protocol messages have no types

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
from google.protobuf.json_format import (  # type: ignore[import-untyped] # has none of its own
    MessageToDict,
)

from infra import stack
from infra.docker_endpoint import DockerEndpoint, docker_endpoint
from infra.grafana_readiness import GrafanaCheck, Login
from infra.settings.schema import Settings

CONTAINER = "docker:index/container:Container"
VOLUME = "docker:index/volume:Volume"
NETWORK = "docker:index/network:Network"
IMAGE = "docker:index/image:Image"
REMOTE_IMAGE = "docker:index/remoteImage:RemoteImage"
DOCKER = "pulumi:providers:docker"
GRAFANA = "pulumi:providers:grafana"
FOLDER = "grafana:oss/folder:Folder"
DATA_SOURCE = "grafana:oss/dataSource:DataSource"
DASHBOARD = "grafana:oss/dashboard:Dashboard"
RULE_GROUP = "grafana:alerting/ruleGroup:RuleGroup"
ANNOTATION = "grafana:oss/annotation:Annotation"
CONTACT_POINT = "grafana:alerting/contactPoint:ContactPoint"
POLICY = "grafana:alerting/notificationPolicy:NotificationPolicy"
MUTE_TIMING = "grafana:alerting/muteTiming:MuteTiming"

SECRET_MARK = "4dabf18193072939515e22adb298388d"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"

# What Docker would compute. Without it, resources that use it would lose that dependency.
COMPUTED = {
    IMAGE: {"repoDigest": "sha256:built"},
    REMOTE_IMAGE: {"imageId": "sha256:pulled"},
}


class Mocks(pulumi.runtime.Mocks):
    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        return f"{args.name}-id", {**args.inputs, **COMPUTED.get(args.typ, {})}

    def call(self, args: pulumi.runtime.MockCallArgs) -> Any:
        raise AssertionError(f"the program asked a provider for {args.token}")


class Monitor(pulumi.runtime.mocks.MockMonitor):
    def __init__(self) -> None:
        super().__init__(Mocks())
        self.requests: dict[tuple[str, str], Any] = {}

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - named by the protocol
        key = (request.type, request.name)
        assert key not in self.requests, f"two resources are called {key}"
        self.requests[key] = request
        register: Callable[[Any], Any] = super().RegisterResource
        return register(request)


class GrafanaStandIn(GrafanaCheck):
    """Stand-in for Grafana: records the folders that the program checks."""

    def await_ready(self, _timeout_seconds: float = 0) -> None:
        raise AssertionError("mocks run no hooks")

    def confirm_folder(self, uid: str) -> None:
        CONFIRMED.append(uid)


# Folders that the program has checked since the last deployment began.
CONFIRMED: list[str] = []


@dataclass(frozen=True)
class Deployed:
    """Everything that one run of the program registered."""

    requests: dict[tuple[str, str], Any]
    outputs: dict[str, Any]
    confirmed: list[str] = field(default_factory=list)

    def of(self, kind: str) -> dict[str, Any]:
        """Return the requests of one type, by logical name."""
        return {name: request for (typ, name), request in self.requests.items() if typ == kind}

    def inputs(self, kind: str, name: str) -> dict[str, Any]:
        """Return the inputs of one resource, secrets unwrapped."""
        return dict(plain(MessageToDict(self.requests[kind, name].object)))

    def all_inputs(self, kind: str) -> dict[str, dict[str, Any]]:
        return {name: self.inputs(kind, name) for name in self.of(kind)}

    def services(self) -> dict[str, dict[str, Any]]:
        """Return the inputs of the containers that run; the others only hold files."""
        containers = self.all_inputs(CONTAINER)
        return {name: spec for name, spec in containers.items() if spec.get("start", True)}

    def files(self, name: str) -> dict[str, str]:
        """Return the content of a container's files, by their paths inside it."""
        uploads = self.inputs(CONTAINER, f"{name}-files")["uploads"]
        return {upload["file"]: upload["content"] for upload in uploads}

    def raw_inputs(self) -> Iterator[tuple[tuple[str, str], Any]]:
        """Yield the inputs of every resource, secrets still wrapped."""
        for key, request in self.requests.items():
            yield key, MessageToDict(request.object)


def deploy(
    settings: Settings | None = None,
    *,
    stack_name: str = "dev",
    preview: bool = False,
    endpoint: DockerEndpoint | None = None,
    ca_certificates: str = "",
) -> Deployed:
    """Run the program with these settings, and with an engine that a Docker context names."""
    monitor = start(stack_name=stack_name, preview=preview)
    CONFIRMED.clear()
    chosen = settings or Settings()
    found = docker_endpoint(chosen.docker_host, {}, Path("/nowhere"), lambda _: None)
    outputs = stack.build(
        chosen, stack_name, endpoint or found, ca_certificates, check_of=stand_in_at
    )
    finish()
    return Deployed(monitor.requests, outputs, list(CONFIRMED))


def stand_in_at(url: str, login: Login) -> GrafanaCheck:
    return GrafanaStandIn(url, login)


def start(*, stack_name: str = "dev", preview: bool = False) -> Monitor:
    monitor = Monitor()
    pulumi.runtime.set_mocks(
        monitor.mocks, project="frontier", stack=stack_name, preview=preview, monitor=monitor
    )
    return monitor


def finish() -> None:
    """Wait until everything is registered."""
    # As `pulumi.runtime.test` does: there is no public way.
    pulumi.runtime.sync_await._sync_await(pulumi.runtime.stack.wait_for_rpcs())  # noqa: SLF001


def plain(value: Any) -> Any:
    """Return a value with its secrets unwrapped."""
    if isinstance(value, dict):
        if SECRET_MARK in value:
            return plain(value["value"])
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def tail(urn: str) -> tuple[str, str]:
    """Return the type and the name at the end of a URN."""
    kind, name = urn.split("::")[-2:]
    return kind.rpartition("$")[2], name
