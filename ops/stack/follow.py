"""Follow the logs of several containers at once, each line prefixed with its service."""

import os
from collections.abc import Mapping
from shlex import quote

from ops.processes.supervisor import Supervisor


def follow(containers: Mapping[str, str], environ: Mapping[str, str]) -> int:
    """Print the containers' logs until Ctrl-C.

    Args:
        containers: Container name by service.
        environ: Variables that point the docker CLI to its engine.
    """
    supervisor = Supervisor()
    for service, container in containers.items():
        supervisor.add_process(
            service,
            f"exec docker logs --follow --tail 100 {quote(container)}",
            env={**os.environ, **environ},
        )
    supervisor.run()
    return 0
