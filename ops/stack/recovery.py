"""Recovery from commands that were killed: the state is updated, and what is half made removed."""

import shlex
from dataclasses import dataclass

from infra.topology import STACK_LABEL
from ops.clients.docker import DockerEngine
from ops.processes.runner import Result
from ops.pulumi.stack import PulumiStack, State
from ops.terminal.console import OperatorError, say

# Without Grafana's resources: they can't be read while Grafana is down.
DOCKER_RESOURCES = "**docker:index/**"
_REFRESH = ("refresh", "--target", DOCKER_RESOURCES)
CONTAINER = "docker:index/container:Container"
NETWORK = "docker:index/network:Network"
IMAGE = "docker:index/image:Image"

# How to remove what a killed command was creating, in this order: its kind in the docker CLI, where
# its labels are in what `inspect` shows, and the command.
#
# Docker refuses a second container of the same name, but creates a second network. It reuses
# existing volumes and images.
REMOVALS = {
    CONTAINER: ("container", ".Config.Labels", ("rm", "--force", "--volumes")),
    NETWORK: ("network", ".Labels", ("rm",)),
}

# Part of the error of Pulumi's file backends, which also has the process that holds the lock.
LOCKED = "the stack is currently locked"


@dataclass(frozen=True)
class Recovery:
    """Brings a stack's state and the Docker host together again.

    Attributes:
        stack: The stack.
        docker: The Docker Engine that it runs on.
    """

    stack: PulumiStack
    docker: DockerEngine

    def is_needed(self, state: State) -> bool:
        """Return whether a killed command may have left something half made."""
        return any(state.begun(kind) for kind in REMOVALS)

    def refresh(self, state: State) -> State:
        """Update the state from Docker, and remove what a killed command left incomplete.

        Args:
            state: The stack's state.

        Returns:
            Its new state.

        Raises:
            OperatorError: The refresh failed; nothing was removed.
        """
        refreshed = self.stack.capture(
            *_REFRESH, "--yes", "--skip-preview", "--clear-pending-creates"
        )
        if not refreshed.ok:
            raise OperatorError(self._why_no_refresh(refreshed))
        new_state = self.stack.state()
        # Only after the refresh, which fails while another command is running.
        self._remove_half_made(state, new_state)
        return new_state

    def catch_up(self) -> State:
        """Update the state as ``up`` does, but only if something changed outside of Pulumi.

        Nothing is removed, and what a killed command had begun stays in the state for ``up``.

        Returns:
            The state.

        Raises:
            OperatorError: The state can't be updated.
        """
        looked = self.stack.capture(*_REFRESH, "--preview-only", "--expect-no-changes")
        if not looked.ok:
            updated = self.stack.capture(*_REFRESH, "--yes", "--skip-preview")
            if not updated.ok:
                raise OperatorError(self._why_no_refresh(updated))
            say("Docker has changed since the last update: the stack's state now says so, too.")
        return self.stack.state()

    def images_to_replace(self, state: State) -> list[str]:
        """Return options that rebuild missing images; the provider doesn't look for them."""
        return [
            option
            for image in state.resources(IMAGE)
            if not self.docker.run("image", "inspect", image["outputs"]["repoDigest"]).ok
            for option in ("--replace", image["urn"])
        ]

    def _remove_half_made(self, before: State, after: State) -> None:
        """Remove what was being created before a refresh, unless it was finished.

        What has the name but not the stack's label belongs to somebody else, and stays.
        """
        owner = self.stack.name.rpartition("/")[2]
        for kind, (noun, labels, removal) in REMOVALS.items():
            finished = {resource["id"] for resource in after.resources(kind)}
            shown = f'{{{{.Id}}}} {{{{index {labels} "{STACK_LABEL}"}}}}'
            for begun in before.begun(kind):
                name = str(begun["inputs"]["name"])
                there = self.docker.run(noun, "inspect", "--format", shown, name)
                found, _, label = there.stdout.strip().partition(" ")
                if not there.ok or label != owner or found in finished:
                    continue
                if self.docker.run(noun, *removal, found).ok:
                    say(f"Removed {name}, which an interrupted command had left incomplete.")

    def _why_no_refresh(self, refreshed: Result) -> str:
        why = f"the refresh failed:\n{refreshed.stdout}{refreshed.stderr}"
        if LOCKED not in why:
            return why
        return (
            f"{why}\nIf no other command is running on this stack, one was killed. Unlock it with\n"
            f'  eval "$(make env)" && pulumi cancel --yes {shlex.quote(self.stack.name)}\n'
            "and try again."
        )
