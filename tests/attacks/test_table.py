"""The list of attacks."""

import re

from ops.checkout import ROOT
from tests.attacks.table import ATTACKS


def test_every_attack_has_a_name_of_its_own_and_says_what_it_sends() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS)
    assert [attack.name for attack in ATTACKS if not attack.sends.endswith(".")] == []


# Bounds of what an engine sends, which no client can reach.
_OF_ENGINES = {
    "a whole reply of the engine; one with embeddings",
    "an event of the engine",
    "tool calls in a reply",
    "text of a translated stream of `/v1/responses`, whose last event repeats it",
    "whole replies, the vectors made of them, and what of streams can't be passed on yet",
}


def test_every_bound_is_attacked() -> None:
    """Those that docs/robustness.md lists in its first table."""
    text = (ROOT / "docs" / "robustness.md").read_text(encoding="utf-8")
    section = text.partition("\n| Bound |")[2].partition("\n\n")[0]
    bounds = re.findall(r"^\| (?!Bound \||---)(.+?) \|", section, re.MULTILINE)

    assert bounds
    assert set(bounds) - {attack.aims_at for attack in ATTACKS} == _OF_ENGINES
