"""Every attack, in the order in which they run."""

from typing import Final

from tests.attacks.attack import Attack
from tests.attacks.kinds import access, bodies, connections, heads, readers, requests

ATTACKS: Final = tuple(
    value
    for module in (heads, access, connections, bodies, requests, readers)
    for value in vars(module).values()
    if isinstance(value, Attack)
)
