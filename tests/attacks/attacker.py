"""One attack, in a process of its own: ``python -m tests.attacks.attacker NAME``.

Reads where it goes from stdin, as JSON, and prints what it sent and got back. It has a low
priority and a single thread, so that it takes no processor from the proxy.
"""

import json
import os
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import uvloop

from tests.attacks.sender import Sender, Target
from tests.attacks.table import ATTACKS

_NICENESS: Final = 10


def main() -> None:
    """Run the attack that the first argument names."""
    _lower_priority()
    _allow_descriptors()
    given = json.load(sys.stdin)
    attack = next(attack for attack in ATTACKS if attack.name == sys.argv[1])
    sender = Sender(
        Target(**given["target"]),
        given["seconds"],
        lambda tally: attack.reached(tally.connections, tally.answers),
    )
    uvloop.run(sender.run(attack.run))
    json.dump(vars(sender.tally), sys.stdout)


def _lower_priority() -> None:
    """Give way to other processes.

    Linux may schedule each session as a group (autogroup). Between groups only the niceness of the
    group counts, so this process, which has a session of its own, sets both.
    """
    os.nice(_NICENESS)
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(_NICENESS))


def _allow_descriptors() -> None:
    """Open as many connections as the system allows; many allow 1,024 files at first."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    main()
