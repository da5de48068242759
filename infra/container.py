"""A container as plain data, and the one place that turns it into a Docker resource.

A component describes what it runs as a ``ContainerSpec``. How every container is hardened, limited,
logged, waited for and replaced is decided here, once. The description does not depend on a single
Docker host, so that a Swarm service could be made from it too.

Why the resource options look as they do:

* The provider waits for health only when it creates a container. After a failed wait, the next
  ``up`` would find nothing to do and succeed with an unhealthy container.
  ``replace_on_changes=["*"]`` replaces that container, and applies changes that the provider
  accepts but never applies, such as a changed health check.
* Only one container can have a name, so the old one is deleted before the new one is created.
* Docker kills a replaced container after 0 s unless ``destroy_grace_seconds`` says otherwise.

How files, secrets among them, get into a container with a read-only root:

* The provider writes files through the container's root, which Docker refuses if that is read-only.
  So a second container, which never runs, takes the files into an anonymous volume, and the real
  one mounts that volume read-only (``--volumes-from``). The volume is deleted with its container,
  so that no file outlives its use.
* ``docker inspect`` shows environments, arguments and labels, but not the contents of files.
* The real container refers to the other one by id, so that a changed file replaces both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pulumi
import pulumi_docker as docker

from infra.docker_host import DOCKER_HOST
from infra.egress import shell_exports
from infra.gpus import GpuRequest
from infra.secret_output import secret_output
from infra.settings.types import Secret
from infra.topology import PROJECT, STACK_LABEL, Member, physical_name

# At most 30 MB of logs for each container.
LOG_OPTIONS = {"max-size": "10m", "max-file": "3"}

SECURITY_OPTIONS = ["no-new-privileges:true"]

TMPFS_OPTIONS = "rw,noexec,nosuid,size=64m"

# Folder of secret files inside a container, the same as for Docker's own secrets.
SECRETS_FOLDER = "/run/secrets"

# Shell script in that folder with the variables of a secret environment.
ENVIRONMENT_FILE = f"{SECRETS_FOLDER}/environment"

# Part of the provider's error for a container that runs, or restarts, without becoming healthy.
_NOT_HEALTHY = "failed to be in healthy state"

# Time that Docker may take to create a container, on top of the wait for health, or to delete one,
# on top of the wait for its process to stop.
_MARGIN_SECONDS = 60


@dataclass(frozen=True)
class HealthCheck:
    """How Docker finds out whether a container is healthy.

    Attributes:
        command: Program and arguments, run inside the container; exit code 0 means healthy.
        interval_seconds: Time between two probes, and before the first.
        timeout_seconds: A probe that takes longer fails.
        retries: Failures in a row that make the container unhealthy.
    """

    command: tuple[str, ...]
    interval_seconds: int = 10
    timeout_seconds: int = 5
    retries: int = 3

    def start_period_seconds(self, wait_seconds: int) -> int:
        """Return how long failures don't count: an unhealthy container still shows in the wait."""
        return max(0, wait_seconds - self.retries * (self.interval_seconds + self.timeout_seconds))


@dataclass(frozen=True)
class Mount:
    """A named volume, or a folder of the host.

    Attributes:
        path: Mount point inside the container.
        volume: Name of a Docker volume.
        host_path: Absolute path of a folder on the Docker host, which must exist.
        read_only: Whether the container may only read it.
    """

    path: str
    volume: pulumi.Input[str] | None = None
    host_path: str | None = None
    read_only: bool = False


@dataclass(frozen=True)
class Files:
    """Small files in a folder of their own, which is read-only for the container.

    Attributes:
        folder: Absolute path inside the container. Files that the image has there stay: Docker
            copies them into the new volume.
        contents: Text of each file, never empty, by its absolute path, which must be below the
            folder. A change replaces the container. Wrap secrets in ``Output.secret``.
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
    """One service as plain data, independent of its host and of how many copies run.

    Attributes:
        member: Its container name, network alias and port.
        image: Reference or id of an image that is on the Docker host.
        health_check: How to find out whether it works.
        wait_seconds: How long ``up`` waits for it to become healthy.
        memory_mb: Memory limit, swap included.
        user: Number of the user and group that it runs as, never root.
        stop_seconds: Time between SIGTERM and SIGKILL when it is stopped.
        entrypoint: Program and arguments; if empty, the image's own.
        command: Arguments for the entry point; if empty, the image's own.
        environment: Variables. ``docker inspect`` shows them, so never secrets.
        mounts: Volumes and host folders.
        files: Configuration or secrets.
        publication: Where its port is published; None if it isn't.
        host_gateway: Whether to define ``host.docker.internal`` as the Docker host.
        gpus: GPUs that it gets; None for none.
        shm_mb: Size of ``/dev/shm`` in MB; None for Docker's default, 64.
    """

    member: Member
    image: pulumi.Input[str]
    health_check: HealthCheck
    wait_seconds: int
    memory_mb: int
    user: str
    stop_seconds: int = 15
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    files: Files | None = None
    publication: Publication | None = None
    host_gateway: bool = False
    gpus: GpuRequest | None = None
    shm_mb: int | None = None


def with_secret_environment(
    spec: ContainerSpec, program: tuple[str, ...], variables: Mapping[str, Secret]
) -> ContainerSpec:
    """Return a specification whose program has more variables, which ``docker inspect`` hides.

    A shell reads them from a file and then becomes the program. Health checks don't get them.

    Args:
        spec: What to run; its files, if any, are in ``SECRETS_FOLDER``.
        program: The image's own entry point, which must be in an image with ``/bin/sh``.
        variables: Values by name; if there are none, nothing changes.
    """
    if not variables:
        return spec
    contents = spec.files.contents if spec.files is not None else {}
    script = secret_output(shell_exports(variables))
    return replace(
        spec,
        entrypoint=("/bin/sh", "-c", f'. {ENVIRONMENT_FILE} && exec "$@"', "sh", *program),
        files=Files(SECRETS_FOLDER, {**contents, ENVIRONMENT_FILE: script}),
    )


@dataclass(frozen=True)
class Placement:
    """Where the containers of one stack run.

    Attributes:
        stack: Name of the Pulumi stack.
        network_id: Id of the network that all its containers join.
    """

    stack: str
    network_id: pulumi.Input[str]


def duration(seconds: int) -> str:
    """Format whole seconds as Go does (``1m30s``): the provider compares durations as text."""
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
    """Create the container that a specification describes, and the one that holds its files.

    Args:
        name: Logical name of the Pulumi resource.
        spec: What to run.
        placement: Where to run it.
        parent: Component that owns the container.
        depends_on: Resources that must exist first, besides those that its inputs refer to.
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
                hooks=pulumi.ResourceHookBinding(on_error=[_failure_hook(name, spec, placement)]),
                custom_timeouts=pulumi.CustomTimeouts(
                    create=duration(spec.wait_seconds + _MARGIN_SECONDS),
                    delete=duration(spec.stop_seconds + _MARGIN_SECONDS),
                ),
            ),
        ),
    )


def container_args(
    spec: ContainerSpec, placement: Placement, files: pulumi.Input[str] | None
) -> docker.ContainerArgs:
    """Return Docker's arguments for a specification, with the rules for every container.

    Args:
        spec: What to run.
        placement: Where to run it.
        files: Id of the container that holds its files; None if it has none.
    """
    return docker.ContainerArgs(
        name=physical_name(spec.member.container, placement.stack),
        image=spec.image,
        user=spec.user,
        entrypoints=list(spec.entrypoint) or None,
        command=list(spec.command) or None,
        envs=[_variable(name, value) for name, value in sorted(spec.environment.items())],
        labels=_labels(spec.member, placement.stack),
        # The provider reads this mode back even from containers on other networks.
        network_mode="bridge",
        networks_advanced=[
            docker.ContainerNetworksAdvancedArgs(
                name=placement.network_id, aliases=[spec.member.alias]
            )
        ],
        ports=_ports(spec),
        hosts=_hosts(spec),
        volumes=[*_volumes(spec.mounts), *_volumes_from(files)],
        mounts=_bind_mounts(spec.mounts),
        healthcheck=_health_check(spec),
        wait=True,
        wait_timeout=spec.wait_seconds,
        # Not unless-stopped: when a Docker Engine that was killed starts again, it stops containers
        # that still run, and then treats them as if a user had stopped them.
        restart="always",
        destroy_grace_seconds=spec.stop_seconds,
        # The same for `docker stop`, and when the Docker Engine itself stops.
        stop_timeout=spec.stop_seconds,
        # A PID 1 that reaps children and passes signals on.
        init=True,
        # Also what limits its processes: each needs memory. The provider has no limit on a
        # container's processes, and ``nproc`` counts those of all containers with the same user.
        memory=spec.memory_mb,
        memory_swap=spec.memory_mb,
        read_only=True,
        tmpfs={"/tmp": TMPFS_OPTIONS},  # noqa: S108 - a path inside the container
        privileged=False,
        capabilities=_no_capabilities(),
        security_opts=SECURITY_OPTIONS,
        log_driver="json-file",
        log_opts=LOG_OPTIONS,
        device_requests=_device_requests(spec),
        shm_size=spec.shm_mb,
    )


def files_args(spec: ContainerSpec, files: Files, placement: Placement) -> docker.ContainerArgs:
    """Return Docker's arguments for the container that never runs and only holds the files."""
    return docker.ContainerArgs(
        name=physical_name(spec.member.files_container, placement.stack),
        # Any image would do; this one is on the Docker host already.
        image=spec.image,
        start=False,
        must_run=False,
        labels=_labels(spec.member, placement.stack),
        volumes=[docker.ContainerVolumeArgs(container_path=files.folder)],
        uploads=[
            docker.ContainerUploadArgs(file=path, content=content)
            for path, content in files.contents.items()
        ],
        # In case someone starts it by hand.
        user=spec.user,
        network_mode="none",
        privileged=False,
        capabilities=_no_capabilities(),
        security_opts=SECURITY_OPTIONS,
    )


def _failure_hook(name: str, spec: ContainerSpec, placement: Placement) -> pulumi.ErrorHook:
    """Return a hook that tells where the reason is: the provider's error doesn't have it."""
    container = physical_name(spec.member.container, placement.stack)

    def tell(args: pulumi.ErrorHookArgs) -> bool:
        if hint := failure_hint(container, args.errors):
            pulumi.log.error(hint)
        return False  # no retry

    return pulumi.ErrorHook(f"{name}-failed", tell)


def failure_hint(container: str, errors: Sequence[str]) -> str:
    """Return what shows why a container failed, after these errors of the provider.

    Empty if the container is gone, or was never created, as its log is then.
    """
    newest = errors[0] if errors else ""
    if _NOT_HEALTHY not in newest:
        return ""
    return (
        f"{container} did not become healthy in time. Its log says why: "
        f"docker logs --tail 50 {container}"
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
    labels = {STACK_LABEL: stack, f"{PROJECT}.service": member.alias}
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


def _volumes(mounts: tuple[Mount, ...]) -> list[docker.ContainerVolumeArgs]:
    return [
        docker.ContainerVolumeArgs(
            container_path=mount.path, volume_name=mount.volume, read_only=mount.read_only
        )
        for mount in mounts
        if mount.volume is not None
    ]


def _bind_mounts(mounts: tuple[Mount, ...]) -> list[docker.ContainerMountArgs] | None:
    """Return the host's folders. Docker creates the missing ones of ``volumes``, owned by root."""
    return [
        docker.ContainerMountArgs(
            target=mount.path, type="bind", source=mount.host_path, read_only=mount.read_only
        )
        for mount in mounts
        if mount.host_path is not None
    ] or None


def _device_requests(spec: ContainerSpec) -> list[docker.ContainerDeviceRequestArgs] | None:
    """Return what Docker is asked for, in full.

    The provider's own ``gpus`` can't be used: it takes one device of a list and adds a count, which
    Docker refuses, and reads back something else than was set.
    """
    if spec.gpus is None:
        return None
    return [
        docker.ContainerDeviceRequestArgs(
            driver="nvidia",
            count=spec.gpus.count,
            device_ids=list(spec.gpus.ids),
            capabilities=["gpu"],
        )
    ]


def _health_check(spec: ContainerSpec) -> docker.ContainerHealthcheckArgs:
    check = spec.health_check
    return docker.ContainerHealthcheckArgs(
        tests=["CMD", *check.command],
        interval=duration(check.interval_seconds),
        timeout=duration(check.timeout_seconds),
        retries=check.retries,
        start_period=duration(check.start_period_seconds(spec.wait_seconds)),
    )
