"""Data volumes: what they hold outlives every container, and some of it the stack."""

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
    """Have a named volume.

    Args:
        name: Logical name.
        volume: Docker's name for it in the default stack.
        stack: Name of the Pulumi stack.
        parent: Component that owns it.
        protect: Refuse to delete it, whatever is asked.
        keep: Leave it on the host when the stack is destroyed; a new stack finds it again.
    """
    return docker.Volume(
        name,
        docker.VolumeArgs(name=physical_name(volume, stack)),
        pulumi.ResourceOptions(
            parent=parent,
            protect=protect,
            retain_on_delete=keep,
            # Docker can change neither, so a change would delete the data.
            ignore_changes=["labels", "driverOpts"],
        ),
    )
