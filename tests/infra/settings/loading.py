"""What the tests of the settings share: the declared settings, and the type of their loader."""

from collections.abc import Callable
from typing import Any

import yaml

from infra.settings.schema import Settings
from tests.processes import ROOT

Load = Callable[..., Settings]
PROJECT = yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))
DECLARED: dict[str, dict[str, Any]] = PROJECT["config"]
