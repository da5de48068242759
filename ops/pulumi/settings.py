"""A stack's settings, read from files: Pulumi.yaml's defaults, overridden by the stack's file.

They are read without the CLI, since they are needed before it is installed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from infra.image_digests import pinned
from infra.settings.types import EngineMode, ServiceMode
from infra.topology import DEFAULT_STACK

IMAGE_SETTINGS = ("pythonImage", "mistralrsImage", "prometheusImage", "grafanaImage")


@dataclass(frozen=True)
class StackConfig:
    """A stack's settings by name, secrets left out.

    Attributes:
        stack: Name as the user wrote it, with its organisation if the backend has them.
        required_cli: Lowest version of the Pulumi CLI that the project works with.
        values: Settings with their effective values.
        own: Names of the settings in the stack's file.
    """

    stack: str
    required_cli: str
    values: Mapping[str, Any]
    own: frozenset[str]

    @property
    def short_name(self) -> str:
        """Name without organisation and project, as in container names."""
        return self.stack.rpartition("/")[2]

    @property
    def image_references(self) -> dict[str, str]:
        """Every image reference by its setting, without digests."""
        return {name: str(self.values[name]) for name in IMAGE_SETTINGS}

    def text_of(self, setting: str) -> str | None:
        """Return a setting as ``pulumi config get`` would, a secret as its encrypted text."""
        value = self.values.get(setting)
        if isinstance(value, dict):
            return str(value["secure"]) if value.keys() == {"secure"} else json.dumps(value)
        # YAML's own switches and numbers, which a user may write into the file.
        return value if value is None or isinstance(value, str) else json.dumps(value)

    def needed_images(self, digests: Mapping[str, str]) -> dict[str, str]:
        """Return the image references that the stack uses, by setting."""
        wanted = {
            "pythonImage": True,
            "mistralrsImage": self.values["engine"] == EngineMode.MISTRALRS,
            "prometheusImage": self.values["prometheus"] == ServiceMode.MANAGED,
            "grafanaImage": self.values["grafana"] == ServiceMode.MANAGED,
        }
        # The stack's file may have YAML's true, or the text that `pulumi config set` writes.
        used = digests if str(self.values["useDigests"]).lower() == "true" else {}
        return {
            setting: pinned(reference, used)
            for setting, reference in self.image_references.items()
            if wanted[setting]
        }


def read_stack_config(root: Path, stack: str = DEFAULT_STACK) -> StackConfig:
    """Read the settings of ``stack`` of the project in ``root``; the stack need not exist yet."""
    project = yaml.safe_load((root / "Pulumi.yaml").read_text(encoding="utf-8"))
    file = root / f"Pulumi.{stack.rpartition('/')[2]}.yaml"
    config = (yaml.safe_load(file.read_text(encoding="utf-8")) or {}) if file.exists() else {}
    prefix = f"{project['name']}:"
    own = {
        name.removeprefix(prefix): value
        for name, value in (config.get("config") or {}).items()
        if name.startswith(prefix)
    }
    defaults = {name: schema.get("default") for name, schema in project["config"].items()}
    required = str(project["requiredPulumiVersion"]).removeprefix(">=")
    return StackConfig(stack, required, {**defaults, **own}, frozenset(own))
