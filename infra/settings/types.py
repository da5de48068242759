"""The types that a setting can have beyond text, numbers and switches."""

from dataclasses import dataclass, field
from enum import StrEnum

import pulumi


class EngineMode(StrEnum):
    """Where the model runs."""

    MISTRALRS = "mistralrs"
    EXTERNAL = "external"
    EMBEDDED = "embedded"


class ServiceMode(StrEnum):
    """Whether the stack runs a service itself or uses an existing one."""

    MANAGED = "managed"
    EXTERNAL = "external"


class GrafanaRules(StrEnum):
    """Which fields of alert rules Grafana knows."""

    CURRENT = "current"
    BEFORE_12 = "before-12"


@dataclass(frozen=True)
class Secret:
    """A text that must not be shown; resources take it from ``output`` only."""

    value: str = field(repr=False)

    def __bool__(self) -> bool:
        """Return whether the text is not empty."""
        return bool(self.value)

    @property
    def output(self) -> pulumi.Output[str]:
        """The text as a Pulumi secret: encrypted in the state and masked in all output."""
        return pulumi.Output.secret(self.value)


NO_SECRET = Secret("")

DEFAULT_PASSWORD = Secret("changeme")
"""Everyone knows it, so it is refused when Grafana is published beyond this machine."""
