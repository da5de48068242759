"""What a container is, as plain data, and the one place that turns it into a Docker resource.

A component says what it runs (``ContainerSpec``); how every container is hardened, limited, logged,
awaited and replaced is decided here, once. The specification knows nothing of a single Docker host,
so that a Swarm service can be made of it as well.

Why the resource options look as they do:

* The provider waits for health only while it creates a container; after a failed wait, the next
  ``up`` would find nothing to do and end green on a sick container. ``replace_on_changes=["*"]``
  replaces such a container, and applies what the provider would accept but never apply, such as a
  changed health check.
* A name can be held once, so the old container goes before the new one comes.
* Docker kills after 0 s on replacement unless ``destroy_grace_seconds`` says otherwise.

How files get into a container whose root is read-only, secrets among them:

* The provider puts files in from the root down, which a read-only container refuses. So a second
  container, which never runs, takes them into an anonymous volume, and the real one mounts that
  volume read-only (``--volumes-from``). It goes with its container, so no file outlives its use.
* ``docker inspect`` shows environments, arguments and labels, but no content of files.
* The real container names the other by its id: where a file changes, both are replaced.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
import pulumi_docker as docker

from infra.hosts import DOCKER_HOST
from infra.topology import PROJECT, Member, physical_name

LOG_OPTIONS = {"max-size": "10m", "max-file": "3"}
"""At most 30 MB of logs for each container."""

SECURITY_OPTIONS = ["no-new-privileges:true"]

TMPFS_OPTIONS = "rw,noexec,nosuid,size=64m"

SECRETS_FOLDER = "/run/secrets"
"""Where secret files lie inside a container, as Docker itself has it."""

_CREATE_MARGIN_SECONDS = 60
"""Time beside the wait for health that Docker may take to create a container."""


@dataclass(frozen=True)
class HealthCheck:
    """How Docker tells that a container is healthy.

    Attributes:
        command: Program and arguments, run inside the container; exit code 0 means healthy.
        interval_seconds: Time between two probes, also before the first.
        timeout_seconds: A probe that takes longer has failed.
        retries: Failures in a row that make the container unhealthy.
    """

    command: tuple[str, ...]
    interval_seconds: int = 10
    timeout_seconds: int = 5
    retries: int = 3

    def start_period_seconds(self, wait_seconds: int) -> int:
        """Time in which failures do not count, so that a sick container shows within the wait."""
        return max(0, wait_seconds - self.retries * (self.interval_seconds + self.timeout_seconds))


@dataclass(frozen=True)
class Mount:
    """A named volume, or a folder of the host.

    Attributes:
        path: Where it lies inside the container.
        volume: Name of a Docker volume.
        host_path: Absolute path of a folder on the Docker host.
        read_only: Whether the container may only read it.
    """

    path: str
    volume: pulumi.Input[str] | None = None
    host_path: str | None = None
    read_only: bool = False


@dataclass(frozen=True)
class Files:
    """Small files in a folder of their own, which the container can only read.

    Attributes:
        folder: Absolute path inside the container. What the image has there lies beside them, since
            Docker copies that into a new volume.
        contents: Text of each file, never empty, by its path, which lies below the folder; a change
            replaces the container. Wrap secrets in ``Output.secret``.
    """

    folder: str
    contents: Mapping[str, pulumi.Input[str]]


@dataclass(frozen=True)
class Publication:
    """The host's address and port on which the member's own port is published."""

    address: str
    port: int


@dataclass(frozen=True)
class ContainerSpec:
    """One service as plain data, without a word about where or how often it runs.

    Attributes:
        member: Its container name, network alias and port.
        image: Reference or id of an image on the Docker host.
        health_check: How to tell that it serves.
        wait_seconds: How long ``up`` waits until it is healthy.
        memory_mb: Memory limit, swap included.
        user: Numeric user and group that it runs as, never root.
        process_limit: Processes and threads that this user may have on the Docker host.
        stop_seconds: Time to end by itself after SIGTERM.
        command: Arguments for the image's entry point; empty for the image's own.
        environment: Variables, which ``docker inspect`` shows: no secrets.
        mounts: Volumes and host folders.
        files: Configuration or secrets.
        publication: Where its port is published; None keeps it inside the network.
        host_gateway: Whether ``host.docker.internal`` must resolve to the Docker host.
        gpus: ``all``, ``device=0,1`` or None.
    """

    member: Member
    image: pulumi.Input[str]
    health_check: HealthCheck
    wait_seconds: int
    memory_mb: int
    user: str
    process_limit: int = 512
    stop_seconds: int = 15
    command: tuple[str, ...] = ()
    environment: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    files: Files | None = None
    publication: Publication | None = None
    host_gateway: bool = False
    gpus: str | None = None


@dataclass(frozen=True)
class Placement:
    """Where the containers of one stack run.

    Attributes:
        stack: Name of the Pulumi stack.
        network_id: Id of the network that all members join.
    """

    stack: str
    network_id: pulumi.Input[str]


def duration(seconds: int) -> str:
    """Write whole seconds as Go does (``1m30s``): the provider compares durations as texts."""
    hours, rest = divmod(seconds, 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours}h{minutes}m{left}s"
    return f"{minutes}m{left}s" if minutes else f"{left}s"


def run(
    name: str,
    spec: ContainerSpec,
    placement: Placement,
    *,
    parent: pulumi.Resource,
    depends_on: tuple[pulumi.Resource, ...] = (),
) -> docker.Container:
    """Make one container of a specification.

    Args:
        name: Logical name, which Pulumi keeps the resource by.
        spec: What to run.
        placement: Where to run it.
        parent: Component that owns the container.
        depends_on: What must exist before it, beyond what its inputs refer to.
    """
    files = None
    if spec.files is not None:
        files = docker.Container(
            f"{name}-files", files_args(spec, spec.files, placement), _always_replaced(parent)
        ).id
    return docker.Container(
        name,
        container_args(spec, placement, files),
        pulumi.ResourceOptions.merge(
            _always_replaced(parent),
            pulumi.ResourceOptions(
                depends_on=list(depends_on),
                custom_timeouts=pulumi.CustomTimeouts(
                    create=duration(spec.wait_seconds + _CREATE_MARGIN_SECONDS)
                ),
            ),
        ),
    )


def container_args(
    spec: ContainerSpec, placement: Placement, files: pulumi.Input[str] | None
) -> docker.ContainerArgs:
    """Spell a specification out for Docker, with the rules that hold for every container.

    Args:
        spec: What to run.
        placement: Where to run it.
        files: Id of the container that holds its files; None where it has none.
    """
    return docker.ContainerArgs(
        name=physical_name(spec.member.container, placement.stack),
        image=spec.image,
        user=spec.user,
        command=list(spec.command) or None,
        envs=[_variable(name, value) for name, value in sorted(spec.environment.items())],
        labels=_labels(spec.member, placement.stack),
        # The provider reads this mode back from containers on a network of their own.
        network_mode="bridge",
        networks_advanced=[
            docker.ContainerNetworksAdvancedArgs(
                name=placement.network_id, aliases=[spec.member.alias]
            )
        ],
        ports=_ports(spec),
        hosts=_hosts(spec),
        volumes=[*map(_volume, spec.mounts), *_volumes_from(files)],
        healthcheck=_health_check(spec),
        wait=True,
        wait_timeout=spec.wait_seconds,
        # Not unless-stopped: a Docker Engine that was killed stops what still runs when it comes
        # back, and takes that for a wish.
        restart="always",
        destroy_grace_seconds=spec.stop_seconds,
        # PID 1 that reaps children and passes signals on.
        init=True,
        memory=spec.memory_mb,
        memory_swap=spec.memory_mb,
        # The provider has no limit for the container's processes; this one is for its user's.
        ulimits=[
            docker.ContainerUlimitArgs(
                name="nproc", soft=spec.process_limit, hard=spec.process_limit
            )
        ],
        read_only=True,
        tmpfs={"/tmp": TMPFS_OPTIONS},  # noqa: S108 - a path inside the container
        privileged=False,
        capabilities=_no_capabilities(),
        security_opts=SECURITY_OPTIONS,
        log_driver="json-file",
        log_opts=LOG_OPTIONS,
        gpus=spec.gpus,
    )


def files_args(spec: ContainerSpec, files: Files, placement: Placement) -> docker.ContainerArgs:
    """Spell out the container that never runs and only takes the files into its volume."""
    return docker.ContainerArgs(
        name=physical_name(f"{spec.member.container}-files", placement.stack),
        # Any image would do; this one is there.
        image=spec.image,
        start=False,
        must_run=False,
        labels=_labels(spec.member, placement.stack),
        volumes=[docker.ContainerVolumeArgs(container_path=files.folder)],
        uploads=[
            docker.ContainerUploadArgs(file=path, content=content)
            for path, content in files.contents.items()
        ],
        # For whoever starts it by hand.
        user=spec.user,
        network_mode="none",
        privileged=False,
        capabilities=_no_capabilities(),
        security_opts=SECURITY_OPTIONS,
    )


def _always_replaced(parent: pulumi.Resource) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions(
        parent=parent, delete_before_replace=True, replace_on_changes=["*"]
    )


def _volumes_from(files: pulumi.Input[str] | None) -> list[docker.ContainerVolumeArgs]:
    if files is None:
        return []
    return [docker.ContainerVolumeArgs(from_container=pulumi.Output.concat(files, ":ro"))]


def _no_capabilities() -> docker.ContainerCapabilitiesArgs:
    return docker.ContainerCapabilitiesArgs(drops=["ALL"])


def _variable(name: str, value: pulumi.Input[str]) -> pulumi.Input[str]:
    return f"{name}={value}" if isinstance(value, str) else pulumi.Output.concat(name, "=", value)


def _labels(member: Member, stack: str) -> list[docker.ContainerLabelArgs]:
    labels = {f"{PROJECT}.stack": stack, f"{PROJECT}.service": member.alias}
    return [docker.ContainerLabelArgs(label=label, value=value) for label, value in labels.items()]


def _ports(spec: ContainerSpec) -> list[docker.ContainerPortArgs]:
    if spec.publication is None:
        return []
    return [
        docker.ContainerPortArgs(
            internal=spec.member.port,
            external=spec.publication.port,
            ip=spec.publication.address,
            protocol="tcp",
        )
    ]


def _hosts(spec: ContainerSpec) -> list[docker.ContainerHostArgs]:
    if not spec.host_gateway:
        return []
    return [docker.ContainerHostArgs(host=DOCKER_HOST, ip="host-gateway")]


def _volume(mount: Mount) -> docker.ContainerVolumeArgs:
    return docker.ContainerVolumeArgs(
        container_path=mount.path,
        volume_name=mount.volume,
        host_path=mount.host_path,
        read_only=mount.read_only,
    )


def _health_check(spec: ContainerSpec) -> docker.ContainerHealthcheckArgs:
    check = spec.health_check
    return docker.ContainerHealthcheckArgs(
        tests=["CMD", *check.command],
        interval=duration(check.interval_seconds),
        timeout=duration(check.timeout_seconds),
        retries=check.retries,
        start_period=duration(check.start_period_seconds(spec.wait_seconds)),
    )
