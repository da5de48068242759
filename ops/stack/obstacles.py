"""What is in the way of a stack's containers on the Docker host: their names or ports are taken.

Docker finds out too, but only when half of the stack is up, and it knows nothing of the settings.
"""

from collections.abc import Iterator

from infra.settings.schema import Settings
from infra.topology import MEMBERS, physical_name
from ops.clients.docker import Container, DockerEngine
from ops.processes.ports import holder, is_taken


def obstacles(docker: DockerEngine, settings: Settings, stack: str) -> list[str]:
    """Return a sentence for each name and port that the stack needs and something else has.

    Args:
        docker: The Docker host. If it isn't this machine, only other containers are known.
        settings: The stack's settings.
        stack: The stack's name, without its organisation.
    """
    containers = docker.containers()
    own = [container for container in containers.values() if container.belongs_to(stack)]
    others = {name: container for name, container in containers.items() if container not in own}
    return [*_taken_names(others, stack), *_taken_ports(docker, settings, own, others)]


def _taken_names(others: dict[str, Container], stack: str) -> Iterator[str]:
    for member in MEMBERS.values():
        for name in (member.container, member.files_container):
            if (taken := physical_name(name, stack)) in others:
                yield (
                    f"the container name {taken} is taken by one that this stack didn't create: "
                    f"remove or rename it (`docker rename {taken} …`)"
                )


def _taken_ports(
    docker: DockerEngine, settings: Settings, own: list[Container], others: dict[str, Container]
) -> Iterator[str]:
    is_local = docker.is_on_this_machine
    for setting, published in settings.published_ports.items():
        address, port = published.host, published.port
        if _have(own, address, port):
            continue  # It is free again once the container is replaced.
        by = [name for name, other in others.items() if _have([other], address, port)]
        if by:
            has_it = f"the container {by[0]}"
        elif is_local and is_taken(address, port):
            has_it = holder(port) or "another process"
        else:
            continue
        yield (
            f"{setting}: port {port} of {address} is taken by {has_it}: stop that, or choose "
            f"another port with `pulumi config set {setting} …`"
        )


def _have(containers: list[Container], address: str, port: int) -> bool:
    return any(
        publication.has(address, port)
        for container in containers
        for publication in container.publications
    )
