"""docs/robustness.md lists what the code has, and nothing else."""

import re

from ops.checkout import ROOT
from proxy_service.settings.schema import ProxySettings
from proxy_service.settings.variables import VARIABLES


def test_every_timeout_is_listed_with_its_default() -> None:
    """All of them are in one table."""
    text = (ROOT / "docs" / "robustness.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\w+)` \| (\S+) s \|", text, re.MULTILINE)
    defaults = ProxySettings()

    assert listed == [
        (variable.name, f"{getattr(defaults, variable.attribute):g}")
        for variable in VARIABLES
        if variable.attribute.endswith("_seconds")
    ]
