"""How images get onto the Docker host: pulled if absent, or built from a project folder."""

import platform
from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from infra.docker_host import DOCKER_HOST
from infra.egress import Egress
from infra.secret_output import secret_output
from infra.topology import physical_name

# Users in the images that are built here; their Dockerfiles name them too. They differ because the
# limit on processes counts all processes that a user has on the Docker host.
PROXY_USER = "10001:10001"
ENGINE_USER = "10002:10002"

_ARM_MACHINES = ("arm64", "aarch64")


@dataclass(frozen=True)
class Build:
    """How images are built on this Docker host.

    Attributes:
        base_image: Reference for the Dockerfiles' ``BASE_IMAGE``.
        platform: ``os/architecture``; empty for this machine's.
        egress: How instructions that install packages reach the internet; None for images that
            are built without.
    """

    base_image: str
    platform: str
    egress: Egress | None = None


def platform_of(machine: str) -> str:
    """Return Docker's platform for a machine type, such as ``x86_64``."""
    return "linux/arm64" if machine.lower() in _ARM_MACHINES else "linux/amd64"


def pulled(name: str, reference: str, *, parent: pulumi.Resource) -> docker.RemoteImage:
    """Pull an image unless the Docker host has it.

    It stays when the stack is destroyed, since other stacks may use it.
    """
    return docker.RemoteImage(
        name,
        docker.RemoteImageArgs(name=reference, keep_locally=True),
        pulumi.ResourceOptions(parent=parent),
    )


def _arguments(build: Build) -> dict[str, pulumi.Input[str]]:
    """Return the Dockerfile's arguments.

    None stays in the image: Docker keeps those of HTTP proxies out of every history, and the
    Dockerfiles declare the others only in a stage that is not kept.
    """
    if build.egress is None:
        return {"BASE_IMAGE": build.base_image}
    secrets = {**build.egress.proxies, **build.egress.index}
    certificates = build.egress.ca_certificates
    return {
        "BASE_IMAGE": build.base_image,
        **({"CA_CERTIFICATES": certificates} if certificates else {}),
        **{name: secret_output(secret) for name, secret in secrets.items()},
    }


def _hosts(build: Build) -> list[str] | None:
    if build.egress is None or not build.egress.leads_to_docker_host:
        return None
    return [f"{DOCKER_HOST}:host-gateway"]


def built(  # noqa: PLR0913 - each is a fact of its own
    name: str, folder: str, tag: str, *, build: Build, stack: str, parent: pulumi.Resource
) -> docker.Image:
    """Build an image from a folder beside ``Pulumi.yaml``.

    Its ``repo_digest`` is the image's id, which changes exactly when its content does. Paths are
    relative, since absolute ones differ between machines and each difference causes a build.
    """
    return docker.Image(
        name,
        build=docker.DockerBuildArgs(
            context=f"./{folder}",
            dockerfile=f"{folder}/Dockerfile",
            args=_arguments(build),
            add_hosts=_hosts(build),
            # The provider's default. It uses Docker's API, and so needs no buildx.
            builder_version=docker.BuilderVersion.BUILDER_BUILD_KIT,
            platform=build.platform or platform_of(platform.machine()),
        ),
        image_name=f"{physical_name(tag, stack)}:local",
        skip_push=True,
        opts=pulumi.ResourceOptions(parent=parent),
    )
