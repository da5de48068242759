"""How images get onto the Docker host: pulled where absent, or built from a project folder."""

import platform
from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from infra.topology import physical_name

PROXY_USER = "10001:10001"
ENGINE_USER = "10002:10002"
"""Users of the images that are built here; their Dockerfiles name them, too. Each has its own,
because Docker's limit on processes counts all that a user has on the machine."""

_ARM_MACHINES = ("arm64", "aarch64")


@dataclass(frozen=True)
class Build:
    """How images are built on this Docker host.

    Attributes:
        base_image: Reference for the Dockerfiles' ``BASE_IMAGE``.
        platform: ``os/architecture``; empty for that of this machine.
    """

    base_image: str
    platform: str


def platform_of(machine: str) -> str:
    """Name Docker's platform for a machine, as the operating system calls it."""
    return "linux/arm64" if machine.lower() in _ARM_MACHINES else "linux/amd64"


def pulled(name: str, reference: str, *, parent: pulumi.Resource) -> docker.RemoteImage:
    """Have an image on the Docker host: the one that is there already, else from its registry.

    It stays when the stack goes, since other stacks may use it.
    """
    return docker.RemoteImage(
        name,
        docker.RemoteImageArgs(name=reference, keep_locally=True),
        pulumi.ResourceOptions(parent=parent),
    )


def built(  # noqa: PLR0913 - each is a fact of its own
    name: str, folder: str, tag: str, *, build: Build, stack: str, parent: pulumi.Resource
) -> docker.Image:
    """Build an image from a folder beside ``Pulumi.yaml``.

    Its ``repo_digest`` is the image's id, which changes exactly when its content does. Paths are
    relative: absolute ones would differ, and so rebuild, on each machine.
    """
    return docker.Image(
        name,
        build=docker.DockerBuildArgs(
            context=f"./{folder}",
            dockerfile=f"{folder}/Dockerfile",
            args={"BASE_IMAGE": build.base_image},
            # The provider's default, stated: through the engine's API it needs no buildx.
            builder_version=docker.BuilderVersion.BUILDER_BUILD_KIT,
            platform=build.platform or platform_of(platform.machine()),
        ),
        image_name=f"{physical_name(tag, stack)}:local",
        skip_push=True,
        opts=pulumi.ResourceOptions(parent=parent),
    )
