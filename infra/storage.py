"""Data volumes: their content outlives every container, and some of them outlive the stack."""

import pulumi
import pulumi_docker as docker

from infra.topology import physical_name


def data_volume(  # noqa: PLR0913 - each is a fact of its own
    name: str,
    volume: str,
    stack: str,
    *,
    parent: pulumi.Resource,
    protect: bool,
    keep: bool,
) -> docker.Volume:
    """Create a named volume, unless the Docker host has it.

    Args:
        name: Logical name.
        volume: Docker's name for it in the default stack.
        stack: Name of the Pulumi stack.
        parent: Component that owns it.
        protect: Make Pulumi refuse to delete it.
        keep: Leave it on the host when the stack is destroyed; a new stack uses it again.
    """
    return docker.Volume(
        name,
        docker.VolumeArgs(name=physical_name(volume, stack)),
        pulumi.ResourceOptions(
            parent=parent,
            protect=protect,
            retain_on_delete=keep,
            # Docker can't change them, so a change would replace the volume and lose the data.
            ignore_changes=["labels", "driverOpts"],
        ),
    )
