"""The types that a setting can have beyond text, numbers and switches."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import NewType


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
    """Which fields of alert rules Grafana knows; or that it gets no rules."""

    CURRENT = "current"
    BEFORE_12 = "before-12"
    NONE = "none"


class NotifySeverity(StrEnum):
    """Lowest severity of the alerts that are sent; the order is that of the severities."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True)
class Secret:
    """A text that must not be shown; resources take it from ``secret_output`` only."""

    value: str = field(repr=False)

    def __bool__(self) -> bool:
        """Return whether the text is not empty."""
        return bool(self.value)


NO_SECRET = Secret("")

# Everyone knows it, so it is refused when Grafana is published beyond this machine.
DEFAULT_PASSWORD = Secret("changeme")

# Sources of LoRA adapters by their names, arguments of a program, and environment variables.
LoraAdapters = NewType("LoraAdapters", Mapping[str, str])
Arguments = NewType("Arguments", tuple[str, ...])
Variables = NewType("Variables", Mapping[str, str])

NO_ADAPTERS = LoraAdapters(MappingProxyType({}))
NO_ARGUMENTS = Arguments(())
NO_VARIABLES = Variables(MappingProxyType({}))
