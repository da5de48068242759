"""The values that a setting can take where plain text would not do."""

from dataclasses import dataclass, field
from enum import StrEnum

import pulumi


class EngineMode(StrEnum):
    """Where the model runs."""

    MISTRALRS = "mistralrs"
    EXTERNAL = "external"
    EMBEDDED = "embedded"


class ServiceMode(StrEnum):
    """Whether the stack runs a service itself or uses one that exists."""

    MANAGED = "managed"
    EXTERNAL = "external"


class GrafanaRules(StrEnum):
    """Which fields of alert rules the Grafana at hand knows."""

    CURRENT = "current"
    BEFORE_12 = "before-12"


@dataclass(frozen=True)
class Secret:
    """A text that must not be shown; resources get it by ``output`` only."""

    value: str = field(repr=False)

    def __bool__(self) -> bool:
        """Tell whether there is a text at all."""
        return bool(self.value)

    @property
    def output(self) -> pulumi.Output[str]:
        """The text as a Pulumi secret: encrypted in the state, masked in every display."""
        return pulumi.Output.secret(self.value)


NO_SECRET = Secret("")

DEFAULT_PASSWORD = Secret("changeme")
"""Known to everyone, and so refused as soon as Grafana is published beyond this machine."""
