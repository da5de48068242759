"""The list of attacks."""

import re

from ops.checkout import ROOT
from tests.attacks.table import ATTACKS


def test_every_attack_has_a_name_of_its_own_and_says_what_it_sends() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS)
    assert [attack.name for attack in ATTACKS if not attack.sends.endswith(".")] == []


def test_every_bound_is_attacked() -> None:
    """Those that docs/robustness.md lists."""
    text = (ROOT / "docs" / "robustness.md").read_text(encoding="utf-8")
    section = text.partition("\n## Bounds\n")[2].partition("\n## ")[0]
    bounds = re.findall(r"^\| (?!Bound \||---)(.+?) \|", section, re.MULTILINE)

    assert bounds
    assert set(bounds) - {attack.aims_at for attack in ATTACKS} == set()
